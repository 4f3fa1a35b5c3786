-- What the login may not do of what a role ($1) may, by schemas/rights.tsv ($2), and the statements that grant it: rows that tell a right ("INSERT, UPDATE on table public.x"; is_statement
-- false), then statements in the order in which they are to be run. is_of_login: the login is to be given the role; where no statement is of that kind, the role itself has lost them.
-- Objects are looked up by name in the catalogue: to_regclass() and its like are refused where the schema may not be used. To try it in psql: PREPARE it.
WITH listed AS (
  SELECT split_part(line, E'\t', 1) AS role, split_part(line, E'\t', 2) AS privilege, split_part(line, E'\t', 3) AS kind,
         split_part(line, E'\t', 4) AS object, split_part(line, E'\t', 5) AS detail
    FROM unnest(string_to_array($2, E'\n')) AS line
   WHERE line <> '' AND line NOT LIKE '#%'
), ours AS (
  SELECT * FROM listed WHERE role = $1
   UNION ALL
  SELECT * FROM listed l WHERE role = 'tallymill_read' AND $1 = 'tallymill_aggregate'
     AND NOT EXISTS (SELECT FROM listed o WHERE o.role = $1 AND (o.privilege, o.kind, o.object, o.detail) = (l.privilege, l.kind, l.object, l.detail))
), wanted AS MATERIALIZED (
  SELECT * FROM ours
   UNION  -- USAGE of schema public PUBLIC has, unless somebody took it
  SELECT $1, 'USAGE', 'schema', split_part(object, '.', 1), '' FROM ours WHERE kind IN ('table', 'column') AND NOT EXISTS (SELECT FROM ours o WHERE o.kind = 'schema' AND o.object = split_part(ours.object, '.', 1))
), functions AS MATERIALIZED (
  SELECT p.oid, p.oid::regprocedure::text AS object FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'tallymill'
), found AS (  -- an object that is no more has no oid: a later migration took it away, and no program needs it
  SELECT w.*, l.oid AS listed_role,
         CASE w.kind WHEN 'role' THEN (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = w.object)
                     WHEN 'schema' THEN (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = w.object)
                     WHEN 'function' THEN (SELECT f.oid FROM functions f WHERE f.object = w.object)
                     ELSE (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = w.object) END AS oid
    FROM wanted w LEFT JOIN pg_catalog.pg_roles l ON l.rolname = w.role
), asked AS (
  SELECT f.*, s.who,
         coalesce(CASE f.kind WHEN 'role' THEN pg_has_role(s.oid, f.oid, 'USAGE')
                              WHEN 'schema' THEN has_schema_privilege(s.oid, f.oid, f.privilege)
                              WHEN 'table' THEN has_table_privilege(s.oid, f.oid, f.privilege)
                              WHEN 'column' THEN has_column_privilege(s.oid, f.oid, f.detail, f.privilege)
                              WHEN 'sequence' THEN has_sequence_privilege(s.oid, f.oid, f.privilege)
                              WHEN 'function' THEN has_function_privilege(s.oid, f.oid, f.privilege) END, true) AS is_allowed
    FROM found f
   CROSS JOIN LATERAL (SELECT r.oid, 'login' AS who FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
                       UNION ALL SELECT r.oid, 'role' FROM pg_catalog.pg_roles r WHERE r.rolname = $1
                       UNION ALL SELECT f.listed_role, 'listed') s
), missing AS MATERIALIZED (
  SELECT privilege, kind, object, detail, role, bool_and(is_allowed) FILTER (WHERE who = 'role') AS is_of_role, bool_and(is_allowed) FILTER (WHERE who = 'listed') AS is_as_listed
    FROM asked GROUP BY privilege, kind, object, detail, role HAVING NOT bool_and(is_allowed) FILTER (WHERE who = 'login')
), self AS (
  SELECT format('"%s"', replace(current_user, '"', '""')) AS login, coalesce(pg_has_role(r.oid, 'USAGE'), false) AS has_role, coalesce(pg_has_role(r.oid, 'MEMBER'), false) AS is_member
    FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1
), lost AS (  -- a line for each object, and of columns for each privilege
  SELECT role, kind, object, string_agg(DISTINCT privilege, ', ' ORDER BY privilege) AS privileges, string_agg(DISTINCT nullif(detail, ''), ', ' ORDER BY nullif(detail, '')) AS columns, bool_or(NOT is_as_listed) AS is_lost
    FROM missing GROUP BY role, kind, object, CASE WHEN kind = 'column' THEN privilege END
), statements AS (
  SELECT 1 AS turn, true AS is_of_login,
         CASE WHEN NOT s.is_member THEN format('GRANT %s TO %s', $1, s.login)
              WHEN current_setting('server_version_num')::integer >= 160000 THEN format('GRANT %s TO %s WITH INHERIT TRUE', $1, s.login)
              ELSE format('ALTER ROLE %s INHERIT', s.login) END AS text
    FROM self s WHERE NOT s.has_role AND EXISTS (SELECT FROM missing)
   UNION
  SELECT 2, false, format('GRANT %s TO %s', m.role, $1) FROM missing m WHERE m.is_as_listed AND NOT m.is_of_role
   UNION ALL
  SELECT 3 + (l.kind <> 'schema')::integer, false,
         format('GRANT %s%s ON %s %s TO %s', l.privileges, ' (' || l.columns || ')', CASE l.kind WHEN 'column' THEN 'TABLE' ELSE upper(l.kind) END, l.object, l.role)
    FROM lost l WHERE l.is_lost AND l.kind <> 'role'
)
SELECT false AS is_statement, NOT s.has_role AS is_of_login,
       CASE l.kind WHEN 'role' THEN 'act as ' || l.object ELSE l.privileges || ' on ' || l.kind || ' ' || l.object || coalesce(' (' || l.columns || ')', '') END AS text, 0 AS turn
  FROM lost l, self s
UNION ALL
SELECT true, is_of_login, text, turn FROM statements
ORDER BY is_statement, turn, text
