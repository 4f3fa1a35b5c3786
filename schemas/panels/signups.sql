-- title: Signups
-- sub: accounts made
-- tab: overview 5, business 1
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', c.date + interval :'shift')::date AS bucket, sum(c.signups) AS value
FROM public.analytics_daily_conversions AS c
WHERE c.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
