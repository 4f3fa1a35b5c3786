-- title: Batch success
-- sub: files that succeeded
-- tab: usage 5
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', b.date + interval :'shift')::date AS bucket, round(sum(b.files_succeeded) / nullif(sum(b.files), 0), 6) AS value
FROM public.analytics_daily_batches AS b
WHERE b.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
