-- title: Plans
-- sub: completed checkouts by tier
-- tab: business 21
-- show: table
-- unit: count
-- good: up
SELECT k.tier, sum(k.checkouts) AS checkouts, sum(k.amount) AS revenue, round(sum(k.amount) / nullif(sum(k.checkouts), 0), 2) AS "mean amount"
FROM public.analytics_daily_checkouts AS k
WHERE k.date BETWEEN :'first' AND :'last'
GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 500;
