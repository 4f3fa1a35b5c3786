-- What the roles were granted in this database, in the form of schemas/rights.tsv: psql -XAt -F$'\t' -f tests/integration/rights.sql
WITH roles AS (SELECT oid, rolname FROM pg_roles WHERE rolname IN ('tallymill_ingest','tallymill_aggregate','tallymill_read')),
granted AS (
 SELECT grantee, privilege_type, 'schema' AS kind, n.nspname::text AS object, '' AS detail FROM pg_namespace n, aclexplode(n.nspacl) WHERE n.nspname = 'tallymill'
 UNION ALL
 SELECT grantee, privilege_type, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname || '.' || c.relname, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl)
  WHERE n.nspname IN ('tallymill','public') AND NOT c.relispartition AND replace(c.relname, 'analytics_internal_', 'analytics_') NOT IN (SELECT target FROM tallymill.rollups)
 UNION ALL
 SELECT a.grantee, a.privilege_type, 'column', n.nspname || '.' || c.relname, t.attname FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(t.attacl) a
  WHERE n.nspname IN ('tallymill','public') AND NOT c.relispartition
 UNION ALL
 SELECT grantee, privilege_type, 'function', p.oid::regprocedure::text, '' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) WHERE n.nspname IN ('tallymill','public'))
SELECT rolname, privilege_type, kind, object, detail FROM granted JOIN roles ON roles.oid = grantee ORDER BY 1,3,4,5,2
