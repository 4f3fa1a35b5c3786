-- title: Usage alerts
-- sub: warnings shown and limits hit, by tier
-- tab: business 20
-- show: table
-- unit: count
-- good: none
SELECT a.tier, a.action, sum(a.events) AS events, max(a.percent_used_max) AS "highest percent used"
FROM public.analytics_daily_usage_alerts AS a
WHERE a.date BETWEEN :'first' AND :'last'
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 500;
