-- The periods of each rollup that overlap the asked days, and why one is not compared, if it is not. In psql the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
-- foreign_from: the first day whose rows the rollup depends on. span: periods of one span may be compared by one query where is_range.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), away AS MATERIALIZED (
  SELECT month FROM tallymill.months WHERE state IN ('open', 'restored', 'detaching') EXCEPT SELECT month FROM tallymill.attached_months
), counted AS MATERIALIZED (
  SELECT s.date, sum(s.event_count)::bigint AS events FROM public.analytics_daily_stats s GROUP BY s.date
), volume AS (
  SELECT 1 AS period_days, c.date AS first_day, c.events FROM counted c
  UNION ALL SELECT 7, date_trunc('week', c.date::timestamp)::date, sum(c.events)::bigint FROM counted c GROUP BY 2
)
SELECT p.rollup, p.first_day, p.last_day, r.is_range, coalesce(v.events, 0) AS events,
       date_trunc('year', p.first_day::timestamp)::date AS span, CASE WHEN r.looks_back THEN '-infinity' ELSE p.first_day END AS foreign_from, a.set_aside
FROM asked
JOIN tallymill.rollup_periods p ON p.first_day <= asked.last_day AND p.last_day >= asked.first_day
JOIN tallymill.rollups r ON r.rollup = p.rollup
LEFT JOIN volume v ON v.period_days = r.period_days AND v.first_day = p.first_day
CROSS JOIN LATERAL (
  SELECT CASE WHEN p.is_stale AND p.failed_at IS NOT NULL THEN 'its query failed: ' || p.error
              WHEN EXISTS (SELECT FROM away w WHERE w.month <= p.last_day
                             AND (r.looks_back OR w.month >= date_trunc('month', p.first_day::timestamp))) THEN
                'the table of a month that it reads is no part of analytics_events'
              WHEN p.is_dirty THEN 'a day of it waits for a rebuild'
              WHEN p.ran_at IS NULL THEN 'not computed yet'
              WHEN p.is_stale THEN 'the events or the query have changed since it was computed' END AS set_aside) a
ORDER BY a.set_aside NULLS FIRST, p.rollup, p.first_day;
