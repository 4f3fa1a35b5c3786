-- The days of uniques among those asked for, and why one is not compared, if it is not. In psql the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
-- island: consecutive days that may be compared as one range, with none between them whose uniques, or whose events, are not there.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), kept AS MATERIALIZED (
  SELECT * FROM tallymill.unique_days
), listed AS (
  SELECT u.day, CASE WHEN u.is_stale AND u.failed_at IS NOT NULL AND (u.ran_at IS NULL OR u.failed_at > u.ran_at) THEN 'its query failed: ' || u.error
                     WHEN u.is_dirty THEN 'it waits for a rebuild'
                     WHEN u.ran_at IS NULL THEN 'not counted yet'
                     WHEN u.is_stale THEN 'its events, the subjects or earlier days have changed since it was counted' END AS set_aside
  FROM kept u
  UNION ALL
  SELECT DISTINCT s.date, 'no events' FROM public.analytics_daily_stats s WHERE s.date NOT IN (SELECT k.day FROM kept k)
)
SELECT l.day, l.set_aside, l.island
FROM (SELECT o.day, o.set_aside, count(*) FILTER (WHERE o.set_aside IS NOT NULL) OVER (ORDER BY o.day) AS island FROM listed o) l
JOIN asked a ON l.day BETWEEN a.first_day AND a.last_day
WHERE l.set_aside IS DISTINCT FROM 'no events'
ORDER BY l.set_aside NULLS FIRST, l.day;
