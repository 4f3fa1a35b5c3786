-- Errors by type: events, and the distinct sessions and users that met one. The 500 types with the most events, the others as '(other)'.
-- target: analytics_daily_errors
-- key: date, error_type
-- cadence: 1 min
-- range: yes
WITH typed AS MATERIALIZED (
  SELECT date, tallymill.label(event_data -> 'error_type') AS error_type, session_id, user_id
  FROM tallymill.range_events WHERE event_name = 'error'
), ranked AS (
  SELECT date, error_type, CASE WHEN row_number() OVER (PARTITION BY date ORDER BY count(*) DESC, error_type COLLATE "C") <= 500 THEN error_type ELSE '(other)' END AS label
  FROM typed GROUP BY 1, 2
)
SELECT date, r.label AS error_type, count(*) AS events, count(DISTINCT t.session_id) AS sessions, count(DISTINCT t.user_id) AS users
FROM typed t JOIN ranked r USING (date, error_type)
GROUP BY 1, 2
