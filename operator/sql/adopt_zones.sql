-- Where created_at has no time zone: the logins that write the table and whose sessions, by what is set for them, are in another zone than $1, in which its times are; from the swap on such times are read in that of
-- the session. The nearest setting holds: of the login in this database, of the login, of the database, of all logins, of the server. (A client may set its own, which nobody here sees;
-- and where the login that asks has one of its own, it does not see the server's.)
WITH t AS (SELECT c.oid, c.relowner FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'created_at' AND a.atttypid = 'timestamp'::regtype WHERE c.oid = 'public.analytics_events'::regclass),
said AS (
  SELECT s.setrole, (s.setrole > 0)::integer * 2 + (s.setdatabase > 0)::integer AS nearness, split_part(x.line, '=', 2) AS zone
  FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS x (line)
  WHERE lower(split_part(x.line, '=', 1)) = 'timezone' AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))),
writers AS (
  SELECT r.rolname, coalesce((SELECT w.zone FROM said w WHERE w.setrole IN (0, r.oid) ORDER BY w.nearness DESC LIMIT 1), (SELECT p.reset_val FROM pg_settings p
             WHERE p.name = 'TimeZone' AND NOT EXISTS (SELECT FROM said w JOIN pg_roles o ON o.oid = w.setrole WHERE o.rolname = session_user))) AS zone
  FROM t JOIN pg_roles r ON r.rolcanlogin AND (r.oid = t.relowner OR NOT r.rolsuper AND has_table_privilege(r.oid, t.oid, 'INSERT, UPDATE')))
SELECT format('login %1$s has %2$s: ALTER ROLE %1$s SET timezone = %3$L', quote_ident(w.rolname), w.zone, $1::text) AS line
FROM writers w
WHERE EXISTS (SELECT FROM unnest('{2026-01-15 12:00+00,2026-07-15 12:00+00}'::timestamptz[]) m WHERE m AT TIME ZONE w.zone <> m AT TIME ZONE $1::text) ORDER BY w.rolname;
