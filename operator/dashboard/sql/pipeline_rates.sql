-- What was stored in each hour (UTC) of the last 28 days: what the merge of the ledger left behind, and what it has not come to yet. The mean of an hour, and the fastest minute in it, in
-- rows a second; the newest hour has only begun, and its mean is of the time so far. Before the first hour that is known there is none.
WITH counted AS (
  SELECT r.minute, r.stored, r.duplicates, r.dead_letters, r.skipped
  FROM tallymill.rates r WHERE r.minute >= date_trunc('hour', clock_timestamp(), 'UTC') - interval '28 days'
  UNION ALL
  SELECT date_trunc('minute', b.committed_at, 'UTC'), b.stored, b.duplicates, b.dead_letters, b.skipped
  FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.committed_at >= date_trunc('hour', clock_timestamp(), 'UTC') - interval '28 days'
), minutes AS (
  SELECT date_trunc('hour', minute, 'UTC') AS hour, sum(stored) AS stored, sum(duplicates) AS duplicates, sum(dead_letters) AS dead_letters, sum(skipped) AS skipped
  FROM counted GROUP BY minute
), hours AS (
  SELECT hour, sum(stored) AS stored, max(stored) AS fastest, sum(duplicates) AS duplicates, sum(dead_letters) AS dead_letters, sum(skipped) AS skipped
  FROM minutes GROUP BY hour
)
SELECT to_char(n.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS hour,
       round(coalesce(h.stored, 0) / greatest(least(3600, extract(epoch FROM clock_timestamp() - n.hour)), 1), 3) AS stored_per_s,
       round(coalesce(h.fastest, 0) / 60, 3) AS fastest_minute_per_s, coalesce(h.stored, 0) AS stored, coalesce(h.duplicates, 0) AS duplicates,
       coalesce(h.dead_letters, 0) AS dead_letters, coalesce(h.skipped, 0) AS skipped
FROM generate_series((SELECT min(hour) FROM hours), date_trunc('hour', clock_timestamp(), 'UTC'), interval '1 hour') AS n (hour)
LEFT JOIN hours h ON h.hour = n.hour
ORDER BY n.hour;
