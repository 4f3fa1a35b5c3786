-- Events, distinct sessions and distinct users by category; '(none)' for events without one.
-- target: analytics_daily_categories
-- key: date, category
-- cadence: 1 min
-- range: yes
SELECT date, coalesce(event_category, '(none)')::text AS category, count(*) AS events, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users
FROM tallymill.range_events
GROUP BY 1, 2
