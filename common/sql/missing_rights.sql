-- What the login may not do of what a role ($1) may, by schemas/rights.tsv ($2): a line each, and whether the login has the role.
-- To try it in psql: PREPARE it.
WITH listed AS (
  SELECT split_part(line, E'\t', 1) AS role, split_part(line, E'\t', 2) AS privilege, split_part(line, E'\t', 3) AS kind,
         split_part(line, E'\t', 4) AS object, split_part(line, E'\t', 5) AS detail
    FROM unnest(string_to_array($2, E'\n')) AS line
   WHERE line <> '' AND line NOT LIKE '#%'
), wanted AS MATERIALIZED (
  SELECT * FROM listed WHERE role = $1 OR (role = 'tallymill_read' AND $1 = 'tallymill_aggregate')
), asked AS (
  SELECT w.*,
         coalesce(CASE
           WHEN kind = 'role' THEN pg_has_role(object, 'USAGE')
           WHEN kind = 'schema' THEN has_schema_privilege(object, privilege)
           WHEN NOT has_schema_privilege(split_part(object, '.', 1), 'USAGE') THEN false
           WHEN kind = 'table' THEN has_table_privilege(to_regclass(object), privilege)
           WHEN kind = 'column' THEN has_column_privilege(to_regclass(object), detail, privilege)
           WHEN kind = 'sequence' THEN has_sequence_privilege(to_regclass(object), privilege)
           WHEN kind = 'function' THEN has_function_privilege(to_regprocedure(object), privilege)
         END, true) AS is_allowed -- an object that is no more: a later migration took it away, and no program needs it
    FROM wanted w
)
SELECT CASE WHEN kind = 'role' THEN 'act as ' || object
            ELSE privilege || ' on ' || kind || ' ' || object || CASE WHEN detail <> '' THEN ' (' || detail || ')' ELSE '' END END,
       pg_has_role($1, 'USAGE')
  FROM asked
 WHERE NOT is_allowed
 ORDER BY kind <> 'schema', kind, object, privilege
