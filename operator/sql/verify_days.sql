-- The UTC days to compare, and for each why it is set aside, if it is. In psql the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
-- Days that have rows are found by leaps through the index of external events, one look for each day rather than one for each row.
WITH RECURSIVE asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), raw_days AS (
  SELECT (SELECT (min(e.created_at) AT TIME ZONE 'UTC')::date FROM public.analytics_events e
          WHERE e.is_internal = FALSE AND e.created_at >= a.first_day::timestamp AT TIME ZONE 'UTC') AS day
  FROM asked a
  UNION ALL
  SELECT (SELECT (min(e.created_at) AT TIME ZONE 'UTC')::date FROM public.analytics_events e
          WHERE e.is_internal = FALSE AND e.created_at >= (r.day + 1)::timestamp AT TIME ZONE 'UTC')
  FROM raw_days r, asked a WHERE r.day < a.last_day
), listed AS (
  SELECT day FROM raw_days UNION SELECT date FROM public.analytics_daily_stats UNION SELECT day FROM tallymill.days
)
SELECT l.day,
       t.month IS NOT NULL AS is_attached,
       CASE WHEN m.state IN ('archived', 'detaching') THEN format('its month is %s', m.state)
            WHEN m.month IS NOT NULL AND t.month IS NULL THEN
              'the table of its month is no part of analytics_events'
            WHEN d.dirty_since IS NOT NULL THEN
              format('waits for a rebuild since %s UTC (%s)', date_trunc('second', d.dirty_since AT TIME ZONE 'UTC'),
                     coalesce(d.dirty_reason, 'no reason noted')) END AS set_aside
FROM asked a
JOIN listed l ON l.day BETWEEN a.first_day AND a.last_day
LEFT JOIN tallymill.days d ON d.day = l.day
LEFT JOIN tallymill.months m ON m.month = date_trunc('month', l.day)::date
LEFT JOIN tallymill.attached_months t ON t.month = m.month
ORDER BY l.day;
