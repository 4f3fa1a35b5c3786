-- Conversions and their rates, one row a day. Counts are events, sessions are distinct session_start sessions. Rates are NULL where there
-- is nothing to divide by: signup_rate = signups / sessions, trial_rate = trials started / signups, trial_conversion_rate = trials
-- converted / trials started, checkout_rate = checkouts completed / checkouts started. Over a range of days divide the sums of the counts.
-- target: analytics_daily_conversions
-- key: date
-- cadence: 1 min
-- range: yes
SELECT c.*, round(signups / nullif(sessions, 0)::numeric, 6) AS signup_rate,
       round(trials_started / nullif(signups, 0)::numeric, 6) AS trial_rate,
       round(trials_converted / nullif(trials_started, 0)::numeric, 6) AS trial_conversion_rate,
       round(checkouts_completed / nullif(checkouts_started, 0)::numeric, 6) AS checkout_rate
FROM (
  SELECT d.date, count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS sessions,
         count(*) FILTER (WHERE event_name = 'login') AS logins,
         count(*) FILTER (WHERE event_name = 'signup') AS signups,
         count(*) FILTER (WHERE event_name = 'signup' AND event_data -> 'has_trial' = 'true') AS signups_with_trial,
         count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'started') AS trials_started,
         count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'expired') AS trials_expired,
         count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'converted') AS trials_converted,
         count(*) FILTER (WHERE event_name = 'tier_change' AND event_data ->> 'action' = 'upgrade') AS upgrades,
         count(*) FILTER (WHERE event_name = 'tier_change' AND event_data ->> 'action' = 'downgrade') AS downgrades,
         count(*) FILTER (WHERE event_name = 'tier_change' AND event_data ->> 'action' = 'cancel') AS cancels,
         count(*) FILTER (WHERE event_name = 'user_interaction' AND event_data ->> 'action' = 'checkout_started') AS checkouts_started,
         count(*) FILTER (WHERE event_name = 'checkout_completed') AS checkouts_completed
  FROM tallymill.range_days d
  LEFT JOIN tallymill.range_events e ON e.date = d.date
    AND e.event_name IN ('session_start', 'login', 'signup', 'trial', 'tier_change', 'user_interaction', 'checkout_completed')
  GROUP BY d.date
) c
