-- title: Events
-- sub: of every kind
-- tab: system 3
-- show: number
-- unit: count
-- good: none
SELECT date_trunc(:'grain', h.date + interval :'shift')::date AS bucket, sum(h.events) AS value
FROM public.analytics_daily_hours AS h
WHERE h.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
