-- Outcomes of batch_generation, one row a day: batches, those without a failed file, files and files that succeeded with their rate, durations (ms).
-- target: analytics_daily_batches
-- key: date
-- cadence: 5 min
-- range: yes
SELECT d.date, count(b.date) AS batches, count(*) FILTER (WHERE succeeded >= files) AS batches_without_failure,
       coalesce(sum(files), 0) AS files, coalesce(sum(succeeded), 0) AS files_succeeded,
       round(sum(succeeded) / nullif(sum(files), 0), 6) AS success_rate, round(avg(files), 6) AS files_mean,
       round(avg(duration), 6) AS duration_mean,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY duration) AS duration_p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY duration) AS duration_p95
FROM tallymill.range_days d
LEFT JOIN (
  SELECT date, tallymill.number(event_data -> 'file_count') AS files, tallymill.number(event_data -> 'success_count') AS succeeded,
         tallymill.number(event_data -> 'duration') AS duration
  FROM tallymill.range_events WHERE event_name = 'batch_generation'
) b ON b.date = d.date
GROUP BY d.date
