-- title: OAuth success
-- sub: completed, of those that ended
-- tab: usage 6
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', o.date + interval :'shift')::date AS bucket, round(sum(o.completed) / nullif(sum(o.completed + o.failed), 0), 6) AS value
FROM public.analytics_daily_oauth AS o
WHERE o.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
