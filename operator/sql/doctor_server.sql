-- Settings of the Postgres server that endanger what is stored, or cost speed. Each row: is_finding (else a warning), object, what, why, remedy. No row: all is well.
WITH room AS (
  SELECT s.name, s.setting::bigint * CASE s.unit WHEN '8kB' THEN 8192 WHEN 'kB' THEN 1024 WHEN 'MB' THEN 1048576 WHEN 's' THEN 1 ELSE 1 END AS value
  FROM pg_catalog.pg_settings s WHERE s.name IN ('wal_buffers', 'shared_buffers', 'max_wal_size', 'checkpoint_timeout')
), held AS (
  SELECT coalesce(sum(c.relpages::bigint), 0) * current_setting('block_size')::bigint AS bytes
  FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = pg_catalog.to_regclass('public.analytics_events')
)
SELECT true AS is_finding, 'server_version' AS object, format('the server is Postgres %s', current_setting('server_version')) AS what,
       'the schema needs 15 or newer' AS why, 'upgrade the server: pg_upgrade' AS remedy
WHERE current_setting('server_version_num')::integer < 150000
UNION ALL
SELECT true, n.name, format('%s is off', n.name), n.why, format('ALTER SYSTEM SET %s = on; SELECT pg_reload_conf()', n.name)
FROM (VALUES ('fsync', 'a crash of the server can damage what was stored'),
             ('full_page_writes', 'a crash of the server can damage what was stored'),
             ('autovacuum', 'the books are written over all the time, and grow without limit'),
             ('track_counts', 'autovacuum does nothing without it')) AS n (name, why)
WHERE current_setting(n.name) = 'off'
UNION ALL
SELECT true, 'read-only', CASE WHEN pg_is_in_recovery() THEN 'this server is a standby' ELSE 'default_transaction_read_only is on' END, 'no worker can store anything here',
       CASE WHEN pg_is_in_recovery() THEN 'name the primary in postgres.dsn, or several hosts with target_session_attrs=read-write'
            ELSE format('ALTER DATABASE %I RESET default_transaction_read_only -- or of the login, or of the server: whoever set it may be out of disk', current_database()) END
WHERE pg_is_in_recovery() OR EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name = 'default_transaction_read_only' AND s.setting = 'on')
UNION ALL
SELECT false, 'wal_buffers', format('wal_buffers is %s', current_setting('wal_buffers')),
       'with less than 64MB the COPY of one worker waits while the COMMIT of another is synced', 'ALTER SYSTEM SET wal_buffers = ''64MB'' -- and restart Postgres'
FROM room WHERE name = 'wal_buffers' AND value < 64 * 1048576
UNION ALL
SELECT false, w.name, format('%s is %s, and the events fill %s', w.name, current_setting(w.name), pg_size_pretty(held.bytes)), w.why,
       format('ALTER SYSTEM SET %s = ''%s''%s', w.name, w.better, w.rest)
FROM held, room,
     (VALUES ('shared_buffers', 134217728::bigint, '1GB', 'a backend writes out pages itself to find room', ' -- a quarter of the memory, and restart Postgres'),
             ('max_wal_size', 4294967295, '16GB', 'behind a checkpoint the first change of each page goes into the WAL whole', '; SELECT pg_reload_conf()'),
             ('checkpoint_timeout', 899, '30min', 'behind a checkpoint the first change of each page goes into the WAL whole', '; SELECT pg_reload_conf()'))
       AS w (name, most, better, why, rest)
WHERE room.name = w.name AND room.value <= w.most AND held.bytes > 10::bigint * 1024 * 1024 * 1024
