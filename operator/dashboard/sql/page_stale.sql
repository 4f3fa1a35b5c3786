-- The rollups' tables that are not up to date in the days from $1 to $2: since when the oldest of their days waits, of how many, and the error of one whose query failed.
SELECT p.target, to_char(min(p.ran_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at, count(*) AS periods,
       (array_agg(p.error) FILTER (WHERE p.error IS NOT NULL AND p.failed_at IS NOT NULL))[1] AS error
FROM tallymill.rollup_periods p
WHERE p.last_day >= $1::date AND p.first_day <= $2::date AND p.is_stale
GROUP BY p.target
UNION ALL
SELECT 'analytics_daily_uniques', to_char(min(u.ran_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), count(*), max(u.error)
FROM tallymill.unique_days u WHERE u.day BETWEEN $1::date AND $2::date AND u.is_stale
HAVING count(*) > 0;
