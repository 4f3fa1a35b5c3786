-- title: Origins
-- sub: of code input
-- tab: overview 13, workflow 11
-- show: list
-- unit: count
-- good: none
SELECT b.value, sum(b.events) AS events
FROM public.analytics_daily_breakdowns AS b
WHERE b.date BETWEEN :'first' AND :'last' AND b.event_name = 'code_input' AND b.attribute = 'origin'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
