-- title: Funnel
-- sub: sessions of one language, added up over days
-- tab: overview 10, workflow 10
-- show: funnel
-- unit: count
-- good: up
-- filter: language
-- A session counts under each language that its code inputs and generations of a day name, at every stage that it reached that day; one of two days counts on both.
SELECT s.step, s.stage, coalesce(sum(f.sessions), 0) AS sessions
FROM (VALUES (1, 'session_start'), (2, 'code_input'), (3, 'generation_started'), (4, 'generation_completed'), (5, 'doc_export')) AS s (step, stage)
LEFT JOIN public.analytics_daily_funnel_by_language AS f ON f.stage = s.stage AND f.language = :'language' AND f.date BETWEEN :'first' AND :'last'
GROUP BY 1, 2 ORDER BY 1;
