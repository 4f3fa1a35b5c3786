-- Outcomes of doc_generation by doc type: attempts, successes (success is true), the rate, and durations of all attempts that say one (ms).
-- target: analytics_daily_generations
-- key: date, doc_type
-- cadence: 1 min
-- range: yes
SELECT date, tallymill.label(event_data -> 'doc_type') AS doc_type, count(*) AS attempts,
       count(*) FILTER (WHERE event_data -> 'success' = 'true') AS succeeded,
       round(count(*) FILTER (WHERE event_data -> 'success' = 'true') / count(*)::numeric, 6) AS success_rate,
       round(avg(tallymill.number(event_data -> 'duration')), 6) AS duration_mean,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY tallymill.number(event_data -> 'duration')) AS duration_p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY tallymill.number(event_data -> 'duration')) AS duration_p95,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY tallymill.number(event_data -> 'duration')) AS duration_p99
FROM tallymill.range_events WHERE event_name = 'doc_generation'
GROUP BY 1, 2
