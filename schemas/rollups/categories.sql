-- Events, distinct sessions and distinct users by category; '(none)' for events without one.
-- target: analytics_daily_categories
-- key: date, category
-- cadence: 1 min
SELECT coalesce(event_category, '(none)')::text AS category, count(*) AS events, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users
FROM tallymill.day_events
GROUP BY 1
