-- Who blocks server process $1 and may be frozen: pid, start, and a text that changes as long as it moves.
-- In psql: \set pid 4711, and $1 replaced by :pid.
SELECT a.pid, a.backend_start::text, concat(a.state_change, '/', c.bytes_processed)
FROM unnest(pg_blocking_pids($1::integer)) AS b (pid)
JOIN pg_stat_activity a ON a.pid = b.pid
LEFT JOIN pg_stat_progress_copy c ON c.pid = a.pid
WHERE a.usename = current_user
  AND a.datname = current_database()
  AND a.xact_start < clock_timestamp() - interval '5 seconds'
  AND a.wait_event = 'ClientRead'
  AND (a.state LIKE 'idle in transaction%' OR c.pid IS NOT NULL)
