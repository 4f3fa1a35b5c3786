-- title: Prompt cache
-- sub: target above 70 %
-- tab: overview 23, system 23
-- show: line
-- unit: share
-- good: up
-- target: 0.7
-- compare: no
SELECT date_trunc(:'grain', h.date::timestamp)::date AS bucket, round(sum(h.hits) / nullif(sum(h.events), 0), 6) AS "hit rate",
       round(0.9 * sum(h.read_tokens) / nullif(sum(h.read_tokens) + sum(h.input_tokens), 0), 6) AS "of input price saved"
FROM public.analytics_daily_llm_cache AS h
WHERE h.date BETWEEN :'first' AND :'last'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
