-- Tries what each role must not do, as that role, and what the login must not do as itself: each statement touches no row, and the caller rolls back. The list of rights comes in
-- tallymill.doctor_rights (schemas/rights.tsv); what was let through stands in tallymill.doctor_tried afterwards, as JSON. In psql, where BEGIN and ROLLBACK stand around it:
-- \set list `cat schemas/rights.tsv`, then SET LOCAL tallymill.doctor_rights = :'list'.
-- What a whole table's rights let through is told by doctor_rights.sql, of the roles. Here is what that cannot see: a right on a column, and whatever else makes Postgres say yes.
-- A role that the login is no member of cannot be tried, nor a login that is a superuser or has tallymill_admin: nothing is refused to these.
DO $$
DECLARE
  listed constant text[] := string_to_array(coalesce(current_setting('tallymill.doctor_rights', true), ''), E'\n');
  found jsonb := '[]';
  who record;
  trial record;
BEGIN
  FOR who IN
    SELECT r.oid, r.rolname AS name, 'role' AS kind, CASE r.rolname WHEN 'tallymill_aggregate' THEN ARRAY[r.rolname, 'tallymill_read'] ELSE ARRAY[r.rolname] END::text[] AS roles
      FROM pg_catalog.pg_roles r
     WHERE r.rolname IN ('tallymill_ingest', 'tallymill_aggregate', 'tallymill_read') AND NOT r.rolsuper AND pg_has_role(session_user, r.oid, 'MEMBER')
    UNION ALL
    SELECT r.oid, r.rolname, 'login', ARRAY(SELECT o.rolname::text FROM pg_catalog.pg_roles o
                                             WHERE o.rolname IN ('tallymill_ingest', 'tallymill_aggregate', 'tallymill_read') AND pg_has_role(r.oid, o.oid, 'USAGE'))
      FROM pg_catalog.pg_roles r
     WHERE r.rolname = session_user AND NOT r.rolsuper AND NOT pg_has_role(r.oid, 'tallymill_admin', 'MEMBER')
     ORDER BY 3 DESC, 2
  LOOP
    FOR trial IN
      WITH rights AS MATERIALIZED (
        SELECT split_part(line, E'\t', 2) AS privilege, split_part(line, E'\t', 3) AS kind, split_part(line, E'\t', 4) AS object, split_part(line, E'\t', 5) AS detail,
               split_part(line, E'\t', 1) = ANY (who.roles) AS is_theirs
          FROM unnest(listed) AS line WHERE line <> '' AND line NOT LIKE '#%'
      ), tables AS MATERIALIZED (
        SELECT c.oid, n.nspname || '.' || c.relname AS object, format('%I.%I', n.nspname, c.relname) AS quoted
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'tallymill' OR n.nspname || '.' || c.relname IN (SELECT r.object FROM rights r WHERE r.kind = 'table'))
      ), untold AS (  -- a role's whole-table rights are right, or told by doctor_rights.sql; a login's are right where a role of its own has them
        SELECT t.*, p.privilege
          FROM tables t CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p (privilege)
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = ANY (who.roles) AND has_table_privilege(o.oid, t.oid, p.privilege))
      )
      SELECT u.object, u.quoted, 'DELETE' AS privilege, '' AS detail, format('DELETE FROM %s WHERE false', u.quoted) AS statement
        FROM untold u WHERE u.privilege = 'DELETE'
      UNION ALL
      SELECT u.object, u.quoted, u.privilege, a.attname,
             format(CASE u.privilege WHEN 'SELECT' THEN 'SELECT %2$I FROM %1$s LIMIT 0' WHEN 'INSERT' THEN 'INSERT INTO %1$s (%2$I) SELECT NULL WHERE false'
                                     ELSE 'UPDATE %1$s SET %2$I = NULL WHERE false' END, u.quoted, a.attname)
        FROM untold u JOIN pg_catalog.pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped
       WHERE u.privilege <> 'DELETE' AND (u.privilege = 'SELECT' OR a.attgenerated = '' AND a.attidentity <> 'a')
         AND NOT EXISTS (SELECT FROM rights r WHERE r.is_theirs AND r.kind = 'column' AND r.object = u.object AND r.privilege = u.privilege AND r.detail = a.attname)
      UNION ALL
      SELECT 'schema tallymill', 'SCHEMA tallymill', 'CREATE', '', 'CREATE TABLE tallymill.tried_by_doctor ()'
    LOOP
      BEGIN
        IF who.kind = 'role' THEN
          PERFORM set_config('role', who.name, true);
        END IF;
        EXECUTE trial.statement;
        RAISE EXCEPTION 'let through';  -- and undone
      EXCEPTION
        WHEN raise_exception THEN
          found := found || jsonb_build_object('kind', who.kind, 'name', who.name, 'object', trial.object, 'quoted', trial.quoted, 'privilege', trial.privilege, 'detail', trial.detail);
        WHEN OTHERS THEN  -- refused; or locked by somebody, or something else that let nothing through
          NULL;
      END;
    END LOOP;
  END LOOP;
  PERFORM set_config('tallymill.doctor_tried', found::text, true);
END
$$
