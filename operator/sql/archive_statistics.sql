-- A month's daily statistics, for its manifest. In psql:
--   SET tallymill.month = '2025-01-01';
SELECT date, event_name, event_count, unique_sessions, unique_users FROM public.analytics_daily_stats
WHERE date >= current_setting('tallymill.month')::date AND date < (current_setting('tallymill.month')::date + interval '1 month')::date
ORDER BY date, event_name
