-- title: Funnel by language
-- sub: sessions, added up over days
-- tab: workflow 16
-- show: table
-- unit: count
-- good: up
-- picks: language
-- A session of two days counts on both, and one with two languages in both rows.
SELECT f.language, sum(f.sessions) FILTER (WHERE f.step = 1) AS "session start", sum(f.sessions) FILTER (WHERE f.step = 2) AS "code input",
       sum(f.sessions) FILTER (WHERE f.step = 3) AS "generation started", sum(f.sessions) FILTER (WHERE f.step = 4) AS "generation completed",
       sum(f.sessions) FILTER (WHERE f.step = 5) AS "doc export",
       round(sum(f.sessions) FILTER (WHERE f.step = 5) / nullif(sum(f.sessions) FILTER (WHERE f.step = 1), 0), 6) AS "exported share"
FROM public.analytics_daily_funnel_by_language AS f
WHERE f.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 500;
