-- title: Upgrades
-- sub: tier changes up
-- tab: business 5
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', c.date + interval :'shift')::date AS bucket, sum(c.upgrades) AS value
FROM public.analytics_daily_conversions AS c
WHERE c.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
