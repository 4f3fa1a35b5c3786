-- title: Batches
-- sub: of several files
-- tab: usage 4
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', b.date + interval :'shift')::date AS bucket, sum(b.batches) AS value
FROM public.analytics_daily_batches AS b
WHERE b.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
