-- title: Success rate
-- sub: of generations
-- tab: overview 4, usage 3
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', g.date + interval :'shift')::date AS bucket, round(sum(g.succeeded) / nullif(sum(g.attempts), 0), 6) AS value
FROM public.analytics_daily_generations AS g
WHERE g.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
