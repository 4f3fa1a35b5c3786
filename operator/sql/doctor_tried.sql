-- What doctor_trials.sql was let do, a row for each role (or the login) and object. Columns as in doctor_server.sql.
WITH tried AS (
  SELECT t.*, CASE WHEN t.privilege <> 'CREATE' THEN to_regclass(t.quoted) END AS table_oid
    FROM jsonb_to_recordset(coalesce(nullif(current_setting('tallymill.doctor_tried', true), ''), '[]')::jsonb)
           AS t (kind text, name text, object text, quoted text, privilege text, detail text)
), gathered AS (
  SELECT kind, name, object, quoted, privilege, string_agg(quote_ident(detail), ', ' ORDER BY detail) FILTER (WHERE detail <> '') AS columns, count(*) AS count, min(detail) AS first,
         min(table_oid::oid::bigint)::oid AS table_oid
    FROM tried GROUP BY kind, name, object, quoted, privilege
), judged AS (
  SELECT g.*, g.columns IS NULL OR has_table_privilege(g.name, g.table_oid, g.privilege) AS is_whole,
         EXISTS (SELECT FROM pg_catalog.pg_class c, aclexplode(c.relacl) a WHERE c.oid = g.table_oid AND a.grantee = 0 AND a.privilege_type = g.privilege)
           OR EXISTS (SELECT FROM pg_catalog.pg_attribute c, aclexplode(c.attacl) a WHERE c.attrelid = g.table_oid AND c.attname = g.first AND a.grantee = 0 AND a.privilege_type = g.privilege) AS is_public
    FROM gathered g
)
SELECT true AS is_finding, name || ' ' || object AS object,
       format('%s %s was let %s on %s when it was tried (and rolled back), which it must not', kind, name,
              string_agg(privilege || CASE WHEN is_whole THEN '' ELSE ' (' || columns || ')' END, ', ' ORDER BY privilege), object) AS what,
       'whoever logs in so can change or see more than its program needs' AS why,
       string_agg(format('REVOKE %s ON %s FROM %s', privilege || CASE WHEN is_whole THEN '' ELSE ' (' || columns || ')' END, quoted, CASE WHEN is_public THEN 'PUBLIC' ELSE quote_ident(name) END),
                  '; ' ORDER BY privilege) || coalesce((
         SELECT format(' -- if it has it by another role: REVOKE %I FROM %I', m.roleid::regrole::text, name) FROM pg_catalog.pg_auth_members m
          WHERE m.member = (SELECT oid FROM pg_catalog.pg_roles r WHERE r.rolname = name) AND m.roleid::regrole::text NOT LIKE 'tallymill_%' ORDER BY m.roleid LIMIT 1), '') AS remedy
FROM judged GROUP BY kind, name, object ORDER BY kind DESC, name, object
