-- The rollups that wait or whose query failed, the failed ones first: how many of their days, since when the oldest waits, and the last error.
SELECT p.rollup, count(*) AS waiting, count(*) FILTER (WHERE p.failed_at IS NOT NULL) AS failed,
       extract(epoch FROM clock_timestamp() - min(p.ran_at))::float8 AS oldest_s, max(p.took_us) AS took_us,
       (array_agg(p.error ORDER BY p.failed_at DESC) FILTER (WHERE p.failed_at IS NOT NULL AND p.error IS NOT NULL))[1] AS error
FROM tallymill.rollup_periods p WHERE p.is_stale
GROUP BY p.rollup ORDER BY failed DESC, waiting DESC, p.rollup;
