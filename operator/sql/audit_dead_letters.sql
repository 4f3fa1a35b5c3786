-- Damage: dead letters that lie in no batch, or in another batch than they say, and ledger rows whose dead letters are not as many
-- as they say. No row: all is well.
WITH placed AS (
  SELECT d.topic, d.topic_partition, d.kafka_offset, d.batch_id, d.reason, b.first_offset, b.batch_id AS ledger_batch_id,
         coalesce(d.batch_id BETWEEN b.batch_id AND b.last_batch_id, false) AS is_its_batch
  FROM tallymill.dead_letters d
  LEFT JOIN LATERAL (SELECT * FROM (SELECT l.* FROM tallymill.batches l
                                    WHERE l.topic = d.topic AND l.topic_partition = d.topic_partition AND l.first_offset <= d.kafka_offset
                                    ORDER BY l.first_offset DESC LIMIT 1) nearest
                     WHERE nearest.next_offset > d.kafka_offset) b ON true
), counted AS (
  SELECT topic, topic_partition, first_offset, count(*) AS letters FROM placed WHERE first_offset IS NOT NULL GROUP BY 1, 2, 3
)
SELECT 'stray dead letter' AS kind, topic, topic_partition, kafka_offset AS first_offset, kafka_offset + 1 AS next_offset, batch_id,
       NULL::date AS day,
       CASE WHEN first_offset IS NULL THEN format('a dead letter (%s) at an offset that no batch covers', reason)
            ELSE format('a dead letter (%s) says batch %s, but the offset belongs to batch %s', reason, batch_id,
                        ledger_batch_id) END AS damage
FROM placed WHERE NOT is_its_batch
UNION ALL
SELECT CASE WHEN coalesce(c.letters, 0) < b.dead_letters THEN 'dead letters missing' ELSE 'dead letters too many' END,
       b.topic, b.topic_partition, b.first_offset, b.next_offset, b.batch_id, NULL,
       format('the ledger says %s dead letters, %s were counted', b.dead_letters, coalesce(c.letters, 0))
FROM tallymill.batches b LEFT JOIN counted c USING (topic, topic_partition, first_offset)
WHERE b.dead_letters <> coalesce(c.letters, 0)
ORDER BY topic, topic_partition, first_offset;
