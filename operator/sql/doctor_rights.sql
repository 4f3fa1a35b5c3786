-- What the roles may do against schemas/rights.tsv: a right that a role has lost, and one that it should not have. Columns as in doctor_server.sql. The list comes in
-- tallymill.doctor_rights: in psql, \set list `cat schemas/rights.tsv`, then SET tallymill.doctor_rights = :'list'. Without it: no row.
-- Of functions those that work with their owner's rights count (SECURITY DEFINER): by any other nobody can do more than without it.
-- Each object is asked for as Postgres itself decides (has_table_privilege and its like), memberships and grants to PUBLIC included. Rights on columns are left to doctor_trials.sql.
WITH listed AS MATERIALIZED (
  SELECT split_part(line, E'\t', 1) AS role, split_part(line, E'\t', 2) AS privilege, split_part(line, E'\t', 3) AS kind,
         split_part(line, E'\t', 4) AS object, split_part(line, E'\t', 5) AS detail,
         CASE WHEN split_part(line, E'\t', 3) = 'function' THEN to_regprocedure(split_part(line, E'\t', 4)) END AS called
    FROM unnest(string_to_array(coalesce(current_setting('tallymill.doctor_rights', true), ''), E'\n')) AS line
   WHERE line <> '' AND line NOT LIKE '#%'
), roles AS (
  SELECT r.oid, r.rolname, r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname IN ('tallymill_ingest', 'tallymill_aggregate', 'tallymill_read') AND EXISTS (SELECT FROM listed)
), lost AS (
  SELECT l.*
    FROM (SELECT * FROM listed  -- USAGE of schema public PUBLIC has, unless somebody took it
          UNION SELECT role, 'USAGE', 'schema', 'public', '', NULL FROM listed WHERE object LIKE 'public.%') l JOIN roles r ON r.rolname = l.role
   WHERE NOT coalesce(CASE l.kind
           WHEN 'schema' THEN has_schema_privilege(r.oid, l.object, l.privilege)
           WHEN 'table' THEN has_table_privilege(r.oid, to_regclass(l.object), l.privilege)
           WHEN 'column' THEN has_column_privilege(r.oid, to_regclass(l.object), l.detail, l.privilege)
           WHEN 'sequence' THEN has_sequence_privilege(r.oid, to_regclass(l.object), l.privilege)
           WHEN 'function' THEN has_function_privilege(r.oid, to_regprocedure(l.object), l.privilege)
         END, true)
), objects AS (
  SELECT c.oid, 'table' AS kind, n.nspname || '.' || c.relname AS object, c.relacl AS acl
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v') AND (n.nspname = 'tallymill' OR n.nspname || '.' || c.relname IN (SELECT object FROM listed WHERE kind = 'table'))
  UNION ALL
  SELECT p.oid, 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'tallymill' AND p.prosecdef
), held AS MATERIALIZED (
  SELECT r.rolname, r.oid AS role, r.rolsuper, o.oid, o.kind, o.object, p.privilege
    FROM roles r CROSS JOIN objects o
    JOIN (VALUES ('table', 'SELECT'), ('table', 'INSERT'), ('table', 'UPDATE'), ('table', 'DELETE'), ('table', 'TRUNCATE'), ('table', 'REFERENCES'), ('table', 'TRIGGER'),
                 ('function', 'EXECUTE')) AS p (kind, privilege) ON p.kind = o.kind
   WHERE CASE o.kind WHEN 'table' THEN has_table_privilege(r.oid, o.oid, p.privilege) ELSE has_function_privilege(r.oid, o.oid, p.privilege) END
), gained AS (
  SELECT h.rolname, h.role, h.rolsuper, h.kind, h.oid, h.object, CASE h.kind WHEN 'function' THEN 'FUNCTION ' ELSE '' END || h.object AS granted,
         string_agg(h.privilege, ', ' ORDER BY h.privilege) AS privileges, min(h.privilege) AS first
    FROM held h
   WHERE NOT EXISTS (SELECT FROM listed l WHERE l.kind = h.kind AND (l.object = h.object OR l.called = h.oid) AND l.privilege = h.privilege
                       AND (l.role = h.rolname OR (l.role = 'tallymill_read' AND h.rolname = 'tallymill_aggregate')))
     -- what it has by tallymill_read is that role's to answer for
     AND NOT (h.rolname = 'tallymill_aggregate' AND EXISTS (SELECT FROM held o WHERE o.rolname = 'tallymill_read' AND o.kind = h.kind AND o.oid = h.oid AND o.privilege = h.privilege))
   GROUP BY h.rolname, h.role, h.rolsuper, h.oid, h.kind, h.object
)
SELECT true AS is_finding, l.role || ' ' || l.object AS object,
       format('role %s may not %s on %s %s%s any more', l.role, string_agg(DISTINCT l.privilege, ', ' ORDER BY l.privilege), min(l.kind), l.object,
              CASE WHEN min(l.kind) = 'column' THEN ' (' || string_agg(l.detail, ', ' ORDER BY l.detail) || ')' ELSE '' END) AS what,
       CASE l.role WHEN 'tallymill_ingest' THEN 'the workers cannot store' WHEN 'tallymill_aggregate' THEN 'the aggregator cannot keep the statistics'
                   ELSE 'audit, verify, status and whoever reads cannot' END AS why,
       format('GRANT %s ON %s %s TO %s', CASE WHEN min(l.kind) = 'column' THEN min(l.privilege) || ' (' || string_agg(l.detail, ', ' ORDER BY l.detail) || ')'
                                              ELSE string_agg(DISTINCT l.privilege, ', ' ORDER BY l.privilege) END,
              CASE min(l.kind) WHEN 'column' THEN 'TABLE' ELSE upper(min(l.kind)) END, l.object, l.role) AS remedy
FROM lost l GROUP BY l.role, l.object, l.kind, CASE WHEN l.kind = 'column' THEN l.privilege END
UNION ALL
SELECT true, g.rolname || ' ' || g.object, format('role %s may %s on %s, which it must not', g.rolname, g.privileges, g.object),
       'whoever has the role can change or see more than its program needs',
       CASE WHEN g.rolsuper THEN format('ALTER ROLE %I NOSUPERUSER', g.rolname)
            WHEN EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = 0 AND a.privilege_type = g.first) THEN format('REVOKE %s ON %s FROM PUBLIC', g.privileges, g.granted)
            WHEN EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = g.role AND a.privilege_type = g.first)
              THEN format('REVOKE %s ON %s FROM %I', g.privileges, g.granted, g.rolname)
            ELSE coalesce((SELECT format('REVOKE %I FROM %I', m.roleid::regrole, g.rolname) FROM pg_catalog.pg_auth_members m
                            WHERE m.member = g.role AND m.roleid::regrole::text <> 'tallymill_read' ORDER BY m.roleid LIMIT 1),
                          format('REVOKE ALL ON %s FROM %I', g.granted, g.rolname)) END
FROM gained g JOIN objects o ON o.kind = g.kind AND o.oid = g.oid
UNION ALL
SELECT true, 'tallymill_aggregate tallymill_read', 'role tallymill_aggregate is no member of tallymill_read any more, or does not inherit from it', 'the aggregator cannot keep the statistics',
       CASE WHEN NOT pg_has_role(a.oid, r.oid, 'MEMBER') THEN 'GRANT tallymill_read TO tallymill_aggregate'
            WHEN current_setting('server_version_num')::integer >= 160000 THEN 'GRANT tallymill_read TO tallymill_aggregate WITH INHERIT TRUE' ELSE 'ALTER ROLE tallymill_aggregate INHERIT' END
FROM roles a JOIN roles r ON r.rolname = 'tallymill_read' WHERE a.rolname = 'tallymill_aggregate' AND NOT pg_has_role(a.oid, r.oid, 'USAGE')
