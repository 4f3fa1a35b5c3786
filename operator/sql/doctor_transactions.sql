-- What keeps vacuum from cleaning up, and the WAL from being recycled: old transactions of this database, prepared ones, replication slots that nobody reads. Columns as
-- in doctor_server.sql. Old is 15 minutes; in psql another age may be tried: SET tallymill.doctor_age = '1 s'. Of other logins' sessions only pg_read_all_stats sees the age:
-- doctor_hidden.sql counts those that are hidden.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.doctor_age', true), ''), '15 min')::interval AS age
), open AS (
  SELECT p.*, date_trunc('second', clock_timestamp() - p.xact_start) AS age FROM pg_catalog.pg_stat_activity p, asked a
  WHERE p.datname = current_database() AND p.pid <> pg_backend_pid() AND p.xact_start < clock_timestamp() - a.age AND p.backend_type = 'client backend'
)
SELECT o.state LIKE 'idle in transaction%' AS is_finding, 'pid ' || o.pid AS object,
       format('pid %s (%s, login %s, %s) has a transaction that is %s old', o.pid, coalesce(nullif(o.application_name, ''), 'an application without a name'), o.usename,
              o.state, o.age) AS what,
       'vacuum removes nothing that it could still see, so the books grow and slow down' AS why, format('SELECT pg_terminate_backend(%s)', o.pid) AS remedy
FROM open o
UNION ALL
SELECT true, 'prepared ' || x.gid, format('the prepared transaction %L (login %s) is %s old', x.gid, x.owner, date_trunc('second', clock_timestamp() - x.prepared)),
       'it keeps its locks, and vacuum from removing anything', format('ROLLBACK PREPARED %L', x.gid)
FROM pg_catalog.pg_prepared_xacts x, asked a WHERE x.database = current_database() AND x.prepared < clock_timestamp() - a.age
UNION ALL
SELECT true, 'slot ' || s.slot_name, format('nobody reads replication slot %s, which keeps %s of WAL', s.slot_name, pg_size_pretty(k.bytes)),
       'the disk fills up until somebody reads it', format('SELECT pg_drop_replication_slot(%L) -- if its reader is gone for good', s.slot_name)
FROM pg_catalog.pg_replication_slots s
CROSS JOIN LATERAL (SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn) AS bytes) k
WHERE NOT s.active AND k.bytes > 1073741824
