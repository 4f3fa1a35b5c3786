-- title: Quality
-- sub: scores by doc type
-- tab: usage 21
-- show: table
-- unit: count
-- good: up
SELECT q.doc_type AS "doc type", sum(q.events) AS scores, round(sum(q.score_mean * q.events) / nullif(sum(q.events), 0), 2) AS mean, min(q.score_min) AS lowest,
       max(q.score_max) AS highest, round(sum(q.grade_a + q.grade_b) / nullif(sum(q.events), 0), 6) AS "grade A or B share"
FROM public.analytics_daily_quality_scores AS q
WHERE q.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
