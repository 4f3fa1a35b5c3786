-- The newest dead letter of each reason, with what it holds: for tallymill_admin. Parameters as in dlq_counts.sql.
SELECT DISTINCT ON (reason) reason, topic_partition, kafka_offset, dead_at::timestamptz(0) AS dead_at, detail, message_key, message_value
FROM tallymill.dead_letters
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR (replayed_at IS NULL AND emptied_at IS NULL))
  AND ($6::timestamptz IS NULL OR dead_at >= $6)
ORDER BY reason, dead_at DESC, topic_partition, kafka_offset DESC
