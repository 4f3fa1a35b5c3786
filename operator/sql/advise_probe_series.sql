SELECT (created_at AT TIME ZONE 'UTC')::date AS date, event_name, count(*) AS events
FROM public.analytics_events /* tallymill advise */
WHERE is_internal = FALSE AND created_at >= now() - interval '90 days'
GROUP BY 1, 2 ORDER BY 1, 2
