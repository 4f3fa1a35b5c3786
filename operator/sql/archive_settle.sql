-- What keeps a month from leaving that `tallymill verify` does not look at; a row for each. In psql:
--   SET tallymill.month = '2025-01-01';
-- A week that the month's last day is in must be over, where a rollup is by weeks: once the month is away the week is not computed again.
WITH asked AS (
  SELECT month, (month + interval '1 month')::date AS month_end
  FROM (SELECT current_setting('tallymill.month')::date AS month) m
), reach AS (
  SELECT q.*, CASE WHEN EXISTS (SELECT FROM tallymill.rollups r WHERE r.retired_at IS NULL AND r.period_days = 7)
                   THEN date_trunc('week', q.month_end - interval '1 day')::date + 6 ELSE q.month_end - 1 END AS last_day
  FROM asked q
)
SELECT format('%s is not closed yet', min(d.day)) AS reason
FROM reach q JOIN tallymill.days d ON d.day BETWEEN q.month AND q.last_day WHERE d.closed_at IS NULL HAVING count(*) > 0
UNION ALL
SELECT format('%s is not over yet', q.last_day) FROM reach q WHERE q.last_day >= (clock_timestamp() AT TIME ZONE 'UTC')::date
UNION ALL
SELECT format('%s batches of rows are in no ledger: tallymill audit names them', count(*))
FROM (SELECT DISTINCT e.batch_id FROM asked q JOIN public.analytics_events e ON e.created_at >= q.month::timestamp AT TIME ZONE 'UTC' AND e.created_at < q.month_end::timestamp AT TIME ZONE 'UTC'
      WHERE e.batch_id IS NOT NULL) e
WHERE NOT EXISTS (SELECT FROM tallymill.batches b WHERE b.batch_id = e.batch_id AND b.last_batch_id = b.batch_id)
  AND NOT EXISTS (SELECT FROM tallymill.batches b WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= e.batch_id AND b.batch_id <= e.batch_id)
HAVING count(*) > 0
