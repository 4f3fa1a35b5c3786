-- title: Cache hits
-- sub: calls that read from the prompt cache
-- tab: system 4
-- show: number
-- unit: share
-- good: up
SELECT date_trunc(:'grain', h.date + interval :'shift')::date AS bucket, round(sum(h.hits) / nullif(sum(h.events), 0), 6) AS value
FROM public.analytics_daily_llm_cache AS h
WHERE h.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
