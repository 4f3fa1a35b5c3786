-- Whether the next program finds a connection. Columns as in doctor_server.sql. Of other logins' sessions backend_type is seen with pg_read_all_stats only, user and database always: those
-- that have both are clients (or, hidden among them, processes of a parallel query: a few too many, never too few).
WITH used AS (
  SELECT count(*) AS all_of_them, count(*) FILTER (WHERE datname = current_database()) AS here, count(*) FILTER (WHERE usename = current_user) AS ours
  FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL
), limits AS (
  SELECT 'the server' AS object, u.all_of_them AS used,
         current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
           - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS allowed,
         'ALTER SYSTEM SET max_connections = ' || 2 * current_setting('max_connections')::bigint || ' -- and restart Postgres, or put a pooler between' AS remedy
  FROM used u
  UNION ALL
  SELECT 'database ' || d.datname, u.here, d.datconnlimit, format('ALTER DATABASE %I CONNECTION LIMIT -1', d.datname)
  FROM used u, pg_catalog.pg_database d WHERE d.datname = current_database() AND d.datconnlimit >= 0
  UNION ALL
  SELECT 'login ' || r.rolname, u.ours, r.rolconnlimit, format('ALTER ROLE %I CONNECTION LIMIT -1', r.rolname)
  FROM used u, pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolconnlimit >= 0
)
SELECT l.allowed - l.used < 3 AS is_finding, l.object, format('%s has %s of %s connections in use', l.object, l.used, l.allowed) AS what,
       'a worker or an aggregator that lost its connection may find none' AS why, l.remedy
FROM limits l WHERE l.allowed - l.used < greatest(3, l.allowed / 10)
