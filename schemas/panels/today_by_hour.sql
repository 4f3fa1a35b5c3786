-- title: Today by the hour
-- sub: events of every kind, UTC
-- tab: overview 7
-- show: line
-- unit: count
-- good: up
-- range: today
SELECT h.hour AS bucket, sum(h.events) AS events
FROM public.analytics_daily_hours AS h
WHERE h.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 1;
