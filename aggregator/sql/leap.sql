-- Passes everything that is unfolded in this snapshot; the days it touches wait for a rebuild, but of archived months. One row: the ledger rows passed.
WITH passed AS MATERIALIZED (
  SELECT topic, topic_partition, batch_id, next_offset, days FROM tallymill.unfolded
), dropped AS (
  DELETE FROM tallymill.deltas d USING passed p WHERE d.batch_id = p.batch_id
), touched AS (
  SELECT array_agg(DISTINCT t.day) AS days, count(DISTINCT t.day)::integer AS count
  FROM passed p CROSS JOIN LATERAL unnest(p.days) AS t (day)
  WHERE NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', t.day::timestamp)::date AND m.state = 'archived')
), places AS MATERIALIZED (
  SELECT topic, topic_partition, next_offset FROM tallymill.positions
), moved AS (
  INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
  SELECT topic, topic_partition, next_offset FROM places
  ON CONFLICT (topic, topic_partition) DO UPDATE SET next_offset = excluded.next_offset
  RETURNING topic, topic_partition, next_offset
), compared AS (
  SELECT (SELECT count(*) FROM places) AS wanted, (SELECT count(*) FROM places JOIN moved USING (topic, topic_partition, next_offset)) AS standing
)
SELECT (SELECT count(*) FROM passed),
       (SELECT tallymill.mark_days(t.days, array_fill('backlog'::text, ARRAY[t.count])) FROM touched t WHERE t.count > 0),
       (SELECT tallymill.kept_out('tallymill.folded', c.wanted, c.standing) FROM compared c WHERE c.wanted <> c.standing)
