-- The differences between the statistics of one UTC day and the plan's query over its rows; no row: they are equal. In psql:
--   SET tallymill.day = '2026-11-24';
-- Rows of batches beyond `folded` are left out: the statistics have not come to them yet.
WITH asked AS (
  SELECT current_setting('tallymill.day')::date AS day
), pending AS MATERIALIZED (
  SELECT DISTINCT batch_id FROM tallymill.unfolded
), raw AS (
  SELECT e.event_name, count(*) AS event_count, count(DISTINCT e.session_id) AS unique_sessions,
         count(DISTINCT e.user_id) AS unique_users
  FROM public.analytics_events e
  WHERE e.is_internal = FALSE
    AND e.created_at >= (SELECT day::timestamp AT TIME ZONE 'UTC' FROM asked)
    AND e.created_at < (SELECT (day + 1)::timestamp AT TIME ZONE 'UTC' FROM asked)
    AND NOT EXISTS (SELECT FROM pending p WHERE p.batch_id = e.batch_id)
  GROUP BY e.event_name
), held AS (
  SELECT event_name, event_count, unique_sessions, unique_users FROM public.analytics_daily_stats WHERE date = (SELECT day FROM asked)
)
SELECT coalesce(raw.event_name, held.event_name) AS event_name, c.name AS column_name, c.have, c.should
FROM raw FULL JOIN held ON held.event_name = raw.event_name
CROSS JOIN LATERAL (VALUES (1, 'event_count', held.event_count, raw.event_count),
                           (2, 'unique_sessions', held.unique_sessions, raw.unique_sessions),
                           (3, 'unique_users', held.unique_users, raw.unique_users)) AS c (number, name, have, should)
WHERE c.have IS DISTINCT FROM c.should
ORDER BY 1, c.number;
