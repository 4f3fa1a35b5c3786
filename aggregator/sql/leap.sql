-- Passes everything that is unfolded in this snapshot; the days it touches wait for a rebuild, but of archived months. One row: the ledger rows passed.
WITH passed AS MATERIALIZED (
  SELECT topic, topic_partition, batch_id, next_offset, days FROM tallymill.unfolded
), dropped AS (
  DELETE FROM tallymill.deltas d USING passed p WHERE d.batch_id = p.batch_id
), marked AS (
  INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
  SELECT DISTINCT t.day, now(), 'backlog' FROM passed p CROSS JOIN LATERAL unnest(p.days) AS t (day)
  WHERE NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', t.day::timestamp)::date AND m.state = 'archived')
  ON CONFLICT (day) DO UPDATE SET dirty_since = excluded.dirty_since, dirty_reason = excluded.dirty_reason WHERE d.dirty_since IS NULL
), moved AS (
  INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
  SELECT topic, topic_partition, next_offset FROM tallymill.positions
  ON CONFLICT (topic, topic_partition) DO UPDATE SET next_offset = excluded.next_offset
)
SELECT count(*) FROM passed
