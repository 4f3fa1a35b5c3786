-- title: Revenue
-- sub: of completed checkouts
-- tab: overview 6, business 3
-- show: number
-- unit: money
-- good: up
SELECT date_trunc(:'grain', k.date + interval :'shift')::date AS bucket, sum(k.amount) AS value
FROM public.analytics_daily_checkouts AS k
WHERE k.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
