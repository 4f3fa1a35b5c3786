-- title: Funnel
-- sub: distinct sessions, exact over the range
-- tab: overview 10, workflow 10
-- show: funnel
-- unit: count
-- good: up
-- filter: none
-- A session counts at a stage whether or not it was seen at the one before.
SELECT s.step, s.stage, coalesce(sum(u.keys), 0) AS sessions
FROM (VALUES (1, 'session_start'), (2, 'code_input'), (3, 'generation_started'), (4, 'generation_completed'), (5, 'doc_export')) AS s (step, stage)
LEFT JOIN public.analytics_daily_uniques AS u
  ON u.subject = 'stage:' || s.stage AND u.kind = 'session' AND u.population = :'who' AND u.date BETWEEN :'first' AND :'last' AND u.previous_date < :'first'
WHERE EXISTS (SELECT FROM tallymill.unique_subjects AS t WHERE t.subject = 'stage:' || s.stage AND t.retired_at IS NULL)
GROUP BY 1, 2 ORDER BY 1;
