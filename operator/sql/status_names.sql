-- The event names of the last seven days, the most frequent first: those that the catalogue does not know are shown.
SELECT s.event_name, sum(s.event_count)::bigint AS events FROM public.analytics_daily_stats s
WHERE s.date > (now() AT TIME ZONE 'UTC')::date - 7
GROUP BY s.event_name ORDER BY 2 DESC, 1 LIMIT 1000;
