-- title: Doc types
-- sub: of generations
-- tab: overview 11, usage 11
-- show: list
-- unit: count
-- good: none
SELECT b.value, sum(b.events) AS events
FROM public.analytics_daily_breakdowns AS b
WHERE b.date BETWEEN :'first' AND :'last' AND b.event_name = 'doc_generation' AND b.attribute = 'doc_type'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
