-- The newest dead letters of one key ($8), with what they hold: for tallymill_admin. Parameters as in dlq_list.sql.
SELECT reason, topic_partition, kafka_offset, dead_at::timestamptz(0) AS dead_at, detail, message_key, message_value
FROM tallymill.dead_letters
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR (replayed_at IS NULL AND emptied_at IS NULL))
  AND ($6::timestamptz IS NULL OR dead_at >= $6) AND message_key = $8::bytea
ORDER BY dead_at DESC, topic_partition, kafka_offset DESC LIMIT $7
