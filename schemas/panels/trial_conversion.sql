-- title: Trial conversion
-- sub: trials converted, of those started
-- tab: business 2
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', c.date + interval :'shift')::date AS bucket, round(sum(c.trials_converted) / nullif(sum(c.trials_started), 0), 6) AS value
FROM public.analytics_daily_conversions AS c
WHERE c.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
