-- The plan's own nightly statement, word for word: yesterday's statistics.
INSERT INTO analytics_daily_stats (date, event_name, event_count, unique_sessions, unique_users)
SELECT
  DATE(created_at),
  event_name,
  COUNT(*),
  COUNT(DISTINCT session_id),
  COUNT(DISTINCT user_id)
FROM analytics_events
WHERE DATE(created_at) = CURRENT_DATE - 1
  AND is_internal = FALSE
GROUP BY DATE(created_at), event_name
ON CONFLICT (date, event_name) DO UPDATE SET
  event_count = EXCLUDED.event_count,
  unique_sessions = EXCLUDED.unique_sessions,
  unique_users = EXCLUDED.unique_users;
