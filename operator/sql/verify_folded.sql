-- Damage: places where `folded` cannot be true. A batch is folded as a whole; one that is folded in some of its topic partitions
-- only would be in the statistics once too often, or never. No row: all is well.
WITH positions AS (
  SELECT f.topic, f.topic_partition, f.next_offset AS folded, coalesce(p.next_offset, 0) AS position
  FROM tallymill.folded f LEFT JOIN tallymill.positions p USING (topic, topic_partition)
)
SELECT 'folded too far' AS kind, topic, topic_partition, position AS first_offset, folded AS next_offset, NULL::bigint AS batch_id,
       NULL::date AS day,
       format('the statistics claim to hold everything below offset %s, but the ledger ends at %s', folded, position) AS damage
FROM positions WHERE folded > position
UNION ALL
SELECT 'folded inside a batch', b.topic, b.topic_partition, b.first_offset, b.next_offset, b.batch_id, NULL,
       format('the statistics end at offset %s, inside a batch that covers %s to %s', f.next_offset, b.first_offset, b.next_offset - 1)
FROM tallymill.folded f
CROSS JOIN LATERAL (SELECT * FROM tallymill.batches l WHERE l.topic = f.topic AND l.topic_partition = f.topic_partition
                      AND l.first_offset < f.next_offset ORDER BY l.first_offset DESC LIMIT 1) b
WHERE b.next_offset > f.next_offset
UNION ALL
SELECT 'folded in part', p.topic, p.topic_partition, NULL, NULL, p.batch_id, NULL,
       format('the batch is in the statistics by topic partition %s, and still to come by topic partition %s', b.topic_partition,
              p.topic_partition)
FROM tallymill.unfolded p
JOIN tallymill.batches b ON b.batch_id = p.batch_id AND b.stored > 0
JOIN tallymill.folded f ON f.topic = b.topic AND f.topic_partition = b.topic_partition AND b.next_offset <= f.next_offset
ORDER BY topic, topic_partition, batch_id;
