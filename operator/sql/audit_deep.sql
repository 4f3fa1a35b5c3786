-- Damage that takes a second pass over analytics_events to find: batches with rows of a UTC day that the ledger does not name (the
-- aggregator would not look for them there), and events stored twice. No row: all is well.
WITH batch_days AS (
  SELECT batch_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS rows
  FROM public.analytics_events WHERE batch_id IS NOT NULL GROUP BY 1, 2
), named AS (
  SELECT b.batch_id, b.last_batch_id, d.day
  FROM tallymill.batches b CROSS JOIN LATERAL unnest(b.days) AS d(day)
), twice AS (
  SELECT id, created_at, count(*) AS rows, min(batch_id) AS batch_id
  FROM public.analytics_events GROUP BY id, created_at HAVING count(*) > 1
)
SELECT 'day not named' AS kind, NULL AS topic, NULL::integer AS topic_partition, NULL::bigint AS first_offset,
       NULL::bigint AS next_offset, r.batch_id, r.day,
       format('%s rows lie on %s, a day that the ledger does not name for this batch', r.rows, r.day) AS damage
FROM batch_days r
-- Batches that were never merged are found by equality; the few that were, by their interval.
WHERE NOT EXISTS (SELECT FROM named n WHERE n.batch_id = r.batch_id AND n.day = r.day)
  AND NOT EXISTS (SELECT FROM named n WHERE n.last_batch_id > n.batch_id AND r.batch_id BETWEEN n.batch_id AND n.last_batch_id
                                        AND n.day = r.day)
UNION ALL
SELECT 'event stored twice', NULL, NULL, NULL, NULL, batch_id, (created_at AT TIME ZONE 'UTC')::date,
       format('event %s of %s is stored %s times', id, created_at AT TIME ZONE 'UTC', rows)
FROM twice;
