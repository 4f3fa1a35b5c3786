-- title: Errors by type
-- sub: events; sessions are those of each day, added up
-- tab: system 10
-- show: table
-- unit: count
-- good: down
SELECT r.error_type AS "error type", sum(r.events) AS events, sum(r.sessions) AS "sessions a day, added up"
FROM public.analytics_daily_errors AS r
WHERE r.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
