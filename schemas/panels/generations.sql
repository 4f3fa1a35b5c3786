-- title: Generations
-- sub: documents asked for
-- tab: overview 3, usage 2
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', g.date + interval :'shift')::date AS bucket, sum(g.attempts) AS value
FROM public.analytics_daily_generations AS g
WHERE g.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
