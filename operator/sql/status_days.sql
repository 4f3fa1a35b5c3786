-- The newest days that have statistics, with their totals over all events. Sessions and users are not shown: distinct
-- numbers of single events do not add up.
SELECT s.date AS day, count(*) AS event_names, sum(s.event_count)::bigint AS events,
       CASE WHEN d.dirty_since IS NOT NULL THEN 'waits for a rebuild' WHEN d.closed_at IS NOT NULL THEN 'closed' ELSE 'open' END AS state
FROM public.analytics_daily_stats s LEFT JOIN tallymill.days d ON d.day = s.date
WHERE s.date IN (SELECT DISTINCT date FROM public.analytics_daily_stats ORDER BY date DESC LIMIT 7)
GROUP BY s.date, d.dirty_since, d.closed_at
ORDER BY s.date DESC;
