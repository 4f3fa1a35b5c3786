-- title: TPOT
-- sub: time per output token
-- tab: overview 21, system 21
-- show: classes
-- unit: ms
-- good: down
-- zones: 20 40 60
-- compare: no
-- The counts of a day's classes are its shares times its events. Percentiles of several days cannot be had from those of each: the row of the whole range has them only where
-- it is one day.
SELECT l.source, l.date AS bucket, max(l.p50) AS p50, max(l.p95) AS p95, max(l.p99) AS p99,
       sum(round(l.excellent_share * l.events)) AS excellent, sum(round(l.good_share * l.events)) AS good,
       sum(round(l.acceptable_share * l.events)) AS acceptable, sum(round(l.slow_share * l.events)) AS slow, sum(l.events) AS events
FROM public.analytics_daily_llm AS l
WHERE l.date BETWEEN :'first' AND :'last' AND l.metric = 'tpot'
GROUP BY l.source, l.date
UNION ALL
SELECT l.source, NULL, CASE WHEN count(*) = 1 THEN max(l.p50) END, CASE WHEN count(*) = 1 THEN max(l.p95) END, CASE WHEN count(*) = 1 THEN max(l.p99) END,
       sum(round(l.excellent_share * l.events)), sum(round(l.good_share * l.events)),
       sum(round(l.acceptable_share * l.events)), sum(round(l.slow_share * l.events)), sum(l.events)
FROM public.analytics_daily_llm AS l
WHERE l.date BETWEEN :'first' AND :'last' AND l.metric = 'tpot'
GROUP BY l.source
ORDER BY 1, 2 NULLS FIRST;
