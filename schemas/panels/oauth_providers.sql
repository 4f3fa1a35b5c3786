-- title: OAuth providers
-- sub: of flows
-- tab: usage 13
-- show: list
-- unit: count
-- good: none
SELECT b.value, sum(b.events) AS events
FROM public.analytics_daily_breakdowns AS b
WHERE b.date BETWEEN :'first' AND :'last' AND b.event_name = 'oauth_flow' AND b.attribute = 'provider'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500;
