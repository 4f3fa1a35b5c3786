-- How many rows of a month are of which interval of the ledger, for its manifest. In psql:
--   SET tallymill.month = '2025-01-01';
SELECT i.batch_id AS first_batch_id, i.last_batch_id, i.topic, sum(c.rows)::bigint AS rows
FROM (SELECT e.batch_id, count(*) AS rows
      FROM (SELECT current_setting('tallymill.month')::date AS month) q
      JOIN public.analytics_events e ON e.created_at >= q.month::timestamp AT TIME ZONE 'UTC' AND e.created_at < (q.month + interval '1 month')::timestamp AT TIME ZONE 'UTC'
      WHERE e.batch_id IS NOT NULL GROUP BY e.batch_id) c
CROSS JOIN LATERAL (
  SELECT b.batch_id, b.last_batch_id, CASE WHEN count(DISTINCT b.topic) = 1 THEN min(b.topic) ELSE '' END AS topic
  FROM tallymill.batches b
  WHERE (b.batch_id = c.batch_id AND b.batch_id = b.last_batch_id) OR (b.batch_id < b.last_batch_id AND b.last_batch_id >= c.batch_id AND b.batch_id <= c.batch_id)
  GROUP BY b.batch_id, b.last_batch_id ORDER BY b.last_batch_id LIMIT 1) i
GROUP BY 1, 2, 3 ORDER BY 1, 2
