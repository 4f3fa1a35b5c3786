-- Who leads, and whether it still moves. One row: epoch, leader, is_gone, holder (the pid that holds the cycle's lock), pulse.
-- is_gone: nobody leads, or the leader's server process has ended. A pulse that stays the same for long means that the leader is frozen or cut off:
-- it changes with seen_at, and inside a transaction with everything a backend does that waits for nobody. What another
-- login hides from us (state, wait_event) counts as moving.
SELECT l.epoch, l.leader,
       l.leader = '' OR (l.backend_pid IS NOT NULL AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_stat_activity a
         WHERE a.pid = l.backend_pid AND coalesce(a.backend_start, l.backend_start) = l.backend_start)) AS is_gone,
       h.pid AS holder,
       concat_ws(' ', l.epoch, l.seen_at, h.pulse) AS pulse
FROM tallymill.leader l
LEFT JOIN LATERAL (
  SELECT k.pid,
         CASE WHEN a.state = 'idle in transaction' OR a.wait_event_type = 'Client'
              THEN concat_ws(' ', k.pid, a.xact_start, a.query_start, a.state, c.bytes_processed)
              ELSE clock_timestamp()::text END AS pulse
  FROM pg_catalog.pg_locks k
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
  LEFT JOIN pg_catalog.pg_stat_progress_copy c ON c.pid = k.pid
  WHERE k.locktype = 'advisory' AND k.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
    AND k.classid = 1952541804 AND k.objid = 1 AND k.objsubid = 2 AND k.granted) h ON true
