-- The UTC days to compare, and for each why it is set aside, if it is, and about how many events it has; days of one span
-- may be compared by one query. In psql the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), counted AS (
  SELECT date AS day, sum(event_count)::bigint AS events FROM public.analytics_daily_stats GROUP BY date
), listed AS (
  SELECT e.day FROM asked a CROSS JOIN LATERAL tallymill.event_days(a.first_day, a.last_day) AS e (day)
  UNION SELECT day FROM counted UNION SELECT day FROM tallymill.days
)
SELECT l.day, t.month IS NOT NULL AS is_attached, date_trunc('year', l.day::timestamp)::date AS span, coalesce(c.events, 0) AS events,
       CASE WHEN m.state = 'archived' OR (m.state = 'detaching' AND t.month IS NULL) THEN format('its month is %s', m.state)
            WHEN m.month IS NOT NULL AND t.month IS NULL THEN
              'the table of its month is no part of analytics_events'
            WHEN d.dirty_since IS NOT NULL THEN
              format('waits for a rebuild since %s UTC (%s)', date_trunc('second', d.dirty_since AT TIME ZONE 'UTC'),
                     coalesce(d.dirty_reason, 'no reason noted')) END AS set_aside
FROM asked a
JOIN listed l ON l.day BETWEEN a.first_day AND a.last_day
LEFT JOIN counted c ON c.day = l.day
LEFT JOIN tallymill.days d ON d.day = l.day
LEFT JOIN tallymill.months m ON m.month = date_trunc('month', l.day::timestamp)::date
LEFT JOIN tallymill.attached_months t ON t.month = m.month
ORDER BY l.day;
