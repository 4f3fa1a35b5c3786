-- The next dead letters to send again that have their bytes, behind place ($6 topic partition, $7 offset), of those that were dead at $8: a worker may bury
-- what is sent again at once, at higher offsets. Parameters as in dlq_counts.sql, but $11 for its $6; $12 only those of this key (NULL: any), $13 only those that wait for this month (2025-01). As many as have $9 bytes together, and at least one; one of more than
-- $10 bytes alone (Kafka would not take it) comes without them.
WITH next AS (
  SELECT topic_partition, kafka_offset, message_key, message_value,
         coalesce(octet_length(message_key), 0)::bigint + coalesce(octet_length(message_value), 0) AS bytes
  FROM tallymill.dead_letters
  WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
    AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR replayed_at IS NULL) AND emptied_at IS NULL
    AND (topic_partition, kafka_offset) > ($6::integer, $7::bigint) AND dead_at <= $8::timestamptz
    AND ($11::timestamptz IS NULL OR dead_at >= $11) AND ($12::bytea IS NULL OR message_key = $12)
    AND ($13::text IS NULL OR detail LIKE 'month ' || $13 || ' %')
  ORDER BY topic_partition, kafka_offset LIMIT 200
), summed AS (
  SELECT n.*, row_number() OVER place AS number, sum(CASE WHEN bytes <= $10::bigint THEN bytes ELSE 0 END) OVER place AS bytes_so_far
  FROM next n WINDOW place AS (ORDER BY topic_partition, kafka_offset)
)
SELECT topic_partition, kafka_offset, CASE WHEN bytes <= $10 THEN message_key END AS message_key,
       CASE WHEN bytes <= $10 THEN message_value END AS message_value, bytes
FROM summed WHERE bytes_so_far <= $9::bigint OR number = 1
ORDER BY topic_partition, kafka_offset
