SELECT event_data ->> 'language' AS language, count(*) AS events
FROM public.analytics_events /* tallymill advise */
WHERE is_internal = FALSE AND event_name = 'doc_generation' AND created_at >= now() - interval '30 days'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100
