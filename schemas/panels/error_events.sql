-- title: Errors
-- sub: events
-- tab: system 1
-- show: number
-- unit: count
-- good: down
SELECT date_trunc(:'grain', r.date + interval :'shift')::date AS bucket, sum(r.events) AS value
FROM public.analytics_daily_errors AS r
WHERE r.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
