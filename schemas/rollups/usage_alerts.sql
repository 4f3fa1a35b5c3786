-- Usage alerts by action (warning_shown, limit_hit) and tier: events, distinct users, and the mean and highest percent_used.
-- target: analytics_daily_usage_alerts
-- key: date, action, tier
-- cadence: 5 min
-- range: yes
SELECT date, tallymill.label(event_data -> 'action') AS action, tallymill.label(event_data -> 'tier') AS tier, count(*) AS events,
       count(DISTINCT user_id) AS users, round(avg(tallymill.number(event_data -> 'percent_used')), 6) AS percent_used_mean,
       max(tallymill.number(event_data -> 'percent_used')) AS percent_used_max
FROM tallymill.range_events WHERE event_name = 'usage_alert'
GROUP BY 1, 2, 3
