-- A page of the dead letters that have their bytes, behind a place ($1 topic, $2 topic partition, $3 offset), of those that were dead at $4: as many as have 2 MiB together, and at least one.
WITH next AS (
  SELECT d.topic, d.topic_partition, d.kafka_offset, d.reason, d.message_key, d.message_value
  FROM tallymill.dead_letters d
  WHERE d.emptied_at IS NULL AND d.dead_at <= $4::timestamptz AND (d.topic, d.topic_partition, d.kafka_offset) > ($1::text, $2::integer, $3::bigint)
  ORDER BY d.topic, d.topic_partition, d.kafka_offset LIMIT 200
), summed AS (
  SELECT n.*, row_number() OVER place AS number,
         sum(coalesce(octet_length(n.message_key), 0)::bigint + coalesce(octet_length(n.message_value), 0)) OVER place AS bytes_so_far
  FROM next n WINDOW place AS (ORDER BY n.topic, n.topic_partition, n.kafka_offset)
)
SELECT topic, topic_partition, kafka_offset, reason, message_key, message_value FROM summed WHERE bytes_so_far <= 2 << 20 OR number = 1
ORDER BY topic, topic_partition, kafka_offset
