-- title: Checkout rate
-- sub: completed, of those started
-- tab: business 4
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', c.date + interval :'shift')::date AS bucket, round(sum(c.checkouts_completed) / nullif(sum(c.checkouts_started), 0), 6) AS value
FROM public.analytics_daily_conversions AS c
WHERE c.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
