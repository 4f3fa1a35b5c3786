-- The differences between the statistics of some UTC days and the plan's query over their rows; no row: they are equal. In psql:
--   SET tallymill.first_day = '2026-11-24'; SET tallymill.last_day = '2026-11-24';
-- Rows of batches beyond `folded` are left out: the statistics have not come to them yet.
WITH raw AS (
  SELECT e.date, e.event_name, count(*) AS event_count, count(DISTINCT e.session_id) AS unique_sessions, count(DISTINCT e.user_id) AS unique_users
  FROM tallymill.range_events e
  GROUP BY e.date, e.event_name
), held AS (
  SELECT date, event_name, event_count, unique_sessions, unique_users FROM public.analytics_daily_stats
  WHERE date BETWEEN current_setting('tallymill.first_day')::date AND current_setting('tallymill.last_day')::date
)
SELECT coalesce(raw.date, held.date) AS day, coalesce(raw.event_name, held.event_name) AS event_name, c.name AS column_name, c.have, c.should
FROM raw FULL JOIN held ON held.date = raw.date AND held.event_name = raw.event_name
CROSS JOIN LATERAL (VALUES (1, 'event_count', held.event_count, raw.event_count),
                           (2, 'unique_sessions', held.unique_sessions, raw.unique_sessions),
                           (3, 'unique_users', held.unique_users, raw.unique_users)) AS c (number, name, have, should)
WHERE c.have IS DISTINCT FROM c.should
ORDER BY 1, 2, c.number;
