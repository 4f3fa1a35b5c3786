-- Outcomes of oauth_flow by provider: events by action, success_rate = completed / (completed + failed), and durations of what completed (ms).
-- target: analytics_daily_oauth
-- key: date, provider
-- cadence: 5 min
-- range: yes
SELECT date, provider, count(*) FILTER (WHERE action = 'started') AS started, count(*) FILTER (WHERE action = 'completed') AS completed,
       count(*) FILTER (WHERE action = 'failed') AS failed,
       round(count(*) FILTER (WHERE action = 'completed') / nullif(count(*) FILTER (WHERE action IN ('completed', 'failed')), 0)::numeric, 6) AS success_rate,
       round(avg(duration) FILTER (WHERE action = 'completed'), 6) AS duration_mean,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY duration) FILTER (WHERE action = 'completed') AS duration_p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY duration) FILTER (WHERE action = 'completed') AS duration_p95
FROM (
  SELECT date, tallymill.label(event_data -> 'provider') AS provider, event_data ->> 'action' AS action, tallymill.number(event_data -> 'duration') AS duration
  FROM tallymill.range_events WHERE event_name = 'oauth_flow'
) o
GROUP BY 1, 2
