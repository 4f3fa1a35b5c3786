-- Damage: batches whose rows are not as many as the ledger says, and rows of a batch that the ledger does not know. One pass over
-- analytics_events, and over the months that are just leaving it. Where the ledger was merged, or rows were removed on purpose, the finest unit that can be compared is an
-- interval of batch ids; intervals that touch are compared as one. Otherwise each interval is one batch.
-- The last row (kind "counted") is no damage: it says how many rows were counted.
WITH counted AS MATERIALIZED (
  SELECT batch_id, sum(rows)::bigint AS rows
  FROM (SELECT batch_id, count(*) AS rows FROM public.analytics_events WHERE batch_id IS NOT NULL GROUP BY batch_id
        UNION ALL SELECT batch_id, rows FROM tallymill.detached_rows()) e
  GROUP BY batch_id
), promised AS (
  SELECT batch_id AS first_batch_id, last_batch_id, sum(stored) AS rows FROM tallymill.batches GROUP BY batch_id, last_batch_id
  UNION ALL
  -- A restored month gives its rows back.
  SELECT first_batch_id, last_batch_id, CASE WHEN reason = 'restored' THEN abs(rows) ELSE -rows END FROM tallymill.removals
), spans AS (
  SELECT first_batch_id, last_batch_id, rows AS promised, 0 AS counted FROM promised
  UNION ALL
  SELECT batch_id, NULL, 0, rows FROM counted
), marked AS (
  -- Intervals come before the rows counted at the same id; rows never widen an interval.
  SELECT s.*, first_batch_id > coalesce(max(last_batch_id) OVER (ORDER BY first_batch_id, last_batch_id
                                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1) AS begins
  FROM spans s
), numbered AS (
  SELECT m.*, count(*) FILTER (WHERE begins) OVER (ORDER BY first_batch_id) AS interval_number FROM marked m
), wrong AS (
  SELECT interval_number, min(first_batch_id) AS first_batch_id, max(last_batch_id) AS last_batch_id, sum(promised) AS promised,
         sum(counted) AS counted
  FROM numbered GROUP BY interval_number
  HAVING sum(promised) <> sum(counted) OR max(last_batch_id) IS NULL
), places AS (
  SELECT w.interval_number, min(b.topic) AS topic, count(*) AS ranges, min(b.topic_partition) AS topic_partition,
         min(b.first_offset) AS first_offset, max(b.next_offset) AS next_offset,
         string_agg(format('topic partition %s offsets %s to %s', b.topic_partition, b.first_offset, b.next_offset - 1), ', '
                    ORDER BY b.topic, b.topic_partition, b.first_offset) AS text
  FROM wrong w
  JOIN numbered n ON n.interval_number = w.interval_number AND n.last_batch_id IS NOT NULL
  JOIN tallymill.batches b ON b.batch_id = n.first_batch_id AND b.last_batch_id = n.last_batch_id
  GROUP BY w.interval_number
)
SELECT CASE WHEN w.last_batch_id IS NULL THEN 'unknown batch' WHEN w.counted < w.promised THEN 'rows missing'
            ELSE 'rows too many' END AS kind,
       p.topic, CASE WHEN p.ranges = 1 THEN p.topic_partition END AS topic_partition,
       CASE WHEN p.ranges = 1 THEN p.first_offset END AS first_offset, CASE WHEN p.ranges = 1 THEN p.next_offset END AS next_offset,
       w.first_batch_id AS batch_id, NULL::date AS day,
       CASE WHEN w.last_batch_id IS NULL THEN format('%s rows belong to no batch of the ledger', w.counted)
            ELSE format('the ledger says %s rows are stored, %s were counted%s%s', w.promised, w.counted,
                        CASE WHEN w.last_batch_id > w.first_batch_id THEN format(' (batches up to %s)', w.last_batch_id) END,
                        CASE WHEN p.ranges > 1 THEN ': ' || p.text END) END AS damage
FROM wrong w LEFT JOIN places p USING (interval_number)
UNION ALL
SELECT 'counted', NULL, NULL, NULL, NULL, NULL, NULL, coalesce(sum(rows), 0)::text FROM counted;
