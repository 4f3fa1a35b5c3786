-- The next dead letters to send again that have their bytes, behind place ($6 topic partition, $7 offset), of those that were dead at $8: a worker may bury
-- what is sent again at once, at higher offsets. Parameters as in dlq_counts.sql.
SELECT topic_partition, kafka_offset, message_key, message_value
FROM tallymill.dead_letters
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR replayed_at IS NULL) AND emptied_at IS NULL
  AND (topic_partition, kafka_offset) > ($6::integer, $7::bigint) AND dead_at <= $8::timestamptz
ORDER BY topic_partition, kafka_offset LIMIT 200
