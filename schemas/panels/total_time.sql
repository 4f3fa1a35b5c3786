-- title: Whole generations
-- sub: faster or slower than such documents usually are
-- tab: usage 20, system 24
-- show: table
-- unit: count
-- good: none
-- compare: no
SELECT t.doc_type AS "doc type", sum(t.events) AS generations, sum(t.faster) AS faster, sum(t.typical) AS typical, sum(t.slower) AS slower,
       round(sum(t.mean * t.events) / nullif(sum(t.events), 0)) AS "mean time ms", max(t.typical_from_ms) AS "typical from ms", max(t.typical_to_ms) AS "typical to ms"
FROM public.analytics_daily_llm_total_time AS t
WHERE t.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
