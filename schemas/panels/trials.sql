-- title: Trials
-- sub: started, converted, expired
-- tab: business 10
-- show: line
-- unit: count
-- good: up
-- compare: no
SELECT date_trunc(:'grain', c.date::timestamp)::date AS bucket, sum(c.trials_started) AS started, sum(c.trials_converted) AS converted, sum(c.trials_expired) AS expired
FROM public.analytics_daily_conversions AS c
WHERE c.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
