-- Damage: offsets of a topic partition that belong to no batch and no gap (hole), or to two (overlap), and topic partitions
-- that have a ledger but no row in tallymill.owners (their position is in nobody's view). No row: all is well.
WITH tiles AS (
  SELECT topic, topic_partition, first_offset, next_offset, batch_id, 'batch ' || batch_id AS name FROM tallymill.batches
  UNION ALL
  SELECT topic, topic_partition, first_offset, next_offset, NULL, 'the gap (' || reason || ')' FROM tallymill.gaps
), ordered AS (
  SELECT t.*, coalesce(max(t.next_offset) OVER before, 0) AS reached, lag(t.name) OVER tile_order AS name_before
  FROM tiles t
  WINDOW tile_order AS (PARTITION BY topic, topic_partition ORDER BY first_offset, next_offset),
         before AS (tile_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT 'hole' AS kind, topic, topic_partition, reached AS first_offset, first_offset AS next_offset, batch_id, NULL::date AS day,
       format('%s offsets have no outcome: nothing covers them between %s and %s', first_offset - reached,
              coalesce(name_before, 'the start'), name) AS damage
FROM ordered WHERE first_offset > reached
UNION ALL
SELECT 'overlap', topic, topic_partition, first_offset, least(reached, next_offset), batch_id, NULL,
       format('%s offsets have two outcomes: %s covers them again', least(reached, next_offset) - first_offset, name)
FROM ordered WHERE first_offset < reached
UNION ALL
SELECT 'no owner', t.topic, t.topic_partition, min(t.first_offset), max(t.next_offset), NULL, NULL,
       'the ledger covers this topic partition, but tallymill.owners does not list it'
FROM tiles t
WHERE NOT EXISTS (SELECT FROM tallymill.owners o WHERE o.topic = t.topic AND o.topic_partition = t.topic_partition)
GROUP BY t.topic, t.topic_partition
ORDER BY topic, topic_partition, first_offset;
