-- title: Languages
-- sub: of generations
-- tab: overview 12, usage 12
-- show: list
-- unit: count
-- good: none
-- picks: language
SELECT b.value, sum(b.events) AS events
FROM public.analytics_daily_breakdowns AS b
WHERE b.date BETWEEN :'first' AND :'last' AND b.event_name = 'doc_generation' AND b.attribute = 'language'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
