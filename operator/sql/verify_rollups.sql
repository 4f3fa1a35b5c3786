-- The periods of each rollup that overlap the asked days, and why one is not compared, if it is not. In psql the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
-- foreign_from: the first day whose rows the rollup depends on.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), away AS MATERIALIZED (
  SELECT month FROM tallymill.months WHERE state IN ('open', 'restored') EXCEPT SELECT month FROM tallymill.attached_months
)
SELECT p.rollup, p.first_day, p.last_day, CASE WHEN r.looks_back THEN '-infinity' ELSE p.first_day END AS foreign_from, a.set_aside
FROM asked
JOIN tallymill.rollup_periods p ON p.first_day <= asked.last_day AND p.last_day >= asked.first_day
JOIN tallymill.rollups r ON r.rollup = p.rollup
CROSS JOIN LATERAL (
  SELECT CASE WHEN p.is_stale AND p.failed_at IS NOT NULL THEN 'its query failed: ' || p.error
              WHEN EXISTS (SELECT FROM away w WHERE w.month <= p.last_day
                             AND (r.looks_back OR w.month >= date_trunc('month', p.first_day::timestamp))) THEN
                'the table of a month that it reads is no part of analytics_events'
              WHEN p.is_dirty THEN 'a day of it waits for a rebuild'
              WHEN p.ran_at IS NULL THEN 'not computed yet'
              WHEN p.is_stale THEN 'the events or the query have changed since it was computed' END AS set_aside) a
ORDER BY a.set_aside NULLS FIRST, p.rollup, p.first_day;
