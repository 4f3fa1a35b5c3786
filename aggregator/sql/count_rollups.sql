-- How many rollups (uniques count as one) have a day or week that is out of date and due by their cadence, and for how long the first of these has been due, in microseconds. What was
-- never computed, or is defined anew, is due since its day began or its definition came.
SELECT count(DISTINCT d.rollup) AS rollups_stale,
       coalesce(extract(epoch FROM clock_timestamp() - min(d.due_at)) * 1000000, 0)::bigint AS rollup_age_us
FROM (
  SELECT p.rollup,
         CASE WHEN p.ran_at IS NULL OR p.is_new THEN greatest(p.first_day::timestamp AT TIME ZONE 'UTC', r.defined_at)
              ELSE least(p.ran_at + p.cadence, CASE WHEN p.closed_at > p.ran_at THEN p.closed_at END) END AS due_at
  FROM tallymill.rollup_periods p JOIN tallymill.rollups r ON r.rollup = p.rollup
  WHERE p.is_stale
  UNION ALL
  SELECT 'uniques', coalesce(u.ran_at + u.cadence, u.day::timestamp AT TIME ZONE 'UTC')
  FROM tallymill.unique_days u WHERE u.is_stale
) d
WHERE d.due_at <= clock_timestamp()
