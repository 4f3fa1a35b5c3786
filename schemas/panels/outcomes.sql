-- title: Outcomes
-- sub: generations by doc type
-- tab: usage 10
-- show: table
-- unit: count
-- good: up
SELECT g.doc_type AS "doc type", sum(g.attempts) AS generations, sum(g.succeeded) AS succeeded, round(sum(g.succeeded) / nullif(sum(g.attempts), 0), 6) AS "success share"
FROM public.analytics_daily_generations AS g
WHERE g.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
