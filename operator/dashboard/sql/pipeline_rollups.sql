-- The rollups that wait or whose query failed, the failed ones first: how many of their days, since when the oldest waits, and the last error. An open day that was computed lately
-- only changes, as it does all day.
SELECT p.rollup, count(*) AS waiting, count(*) FILTER (WHERE p.failed_at IS NOT NULL) AS failed,
       extract(epoch FROM clock_timestamp() - min(p.ran_at))::float8 AS oldest_s, max(p.took_us) AS took_us,
       (array_agg(p.error ORDER BY p.failed_at DESC) FILTER (WHERE p.failed_at IS NOT NULL AND p.error IS NOT NULL))[1] AS error
FROM tallymill.rollup_periods p
WHERE p.is_stale AND NOT (p.failed_at IS NULL AND (p.closed_at IS NULL OR p.last_day >= (now() AT TIME ZONE 'UTC')::date - 1) AND p.ran_at > clock_timestamp() - greatest(interval '10 minutes', 2 * p.cadence))
GROUP BY p.rollup ORDER BY failed DESC, waiting DESC, p.rollup;
