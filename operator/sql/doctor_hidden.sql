-- How many sessions of other logins are in a transaction of this database whose age this login cannot see, for want of pg_read_all_stats: one row. That there is a transaction everybody sees
-- by its lock.
SELECT count(DISTINCT a.pid) AS sessions
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock'
WHERE a.datname = current_database() AND a.backend_type IS NULL AND a.usesysid IS NOT NULL
