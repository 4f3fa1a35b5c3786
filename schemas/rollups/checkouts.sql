-- Completed checkouts by tier: how many, by how many users, and their amounts. A checkout without an amount counts, and adds nothing.
-- target: analytics_daily_checkouts
-- key: date, tier
-- cadence: 5 min
-- range: yes
SELECT date, tallymill.label(event_data -> 'tier') AS tier, count(*) AS checkouts, count(DISTINCT user_id) AS users,
       coalesce(sum(tallymill.number(event_data -> 'amount')), 0) AS amount,
       round(avg(tallymill.number(event_data -> 'amount')), 6) AS amount_mean,
       min(tallymill.number(event_data -> 'amount')) AS amount_min, max(tallymill.number(event_data -> 'amount')) AS amount_max
FROM tallymill.range_events WHERE event_name = 'checkout_completed'
GROUP BY 1, 2
