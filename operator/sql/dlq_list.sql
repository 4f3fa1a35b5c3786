-- The newest dead letters, without their contents. Parameters as in dlq_counts.sql, $7 how many.
SELECT topic_partition, kafka_offset, reason, dead_at::timestamptz(0) AS dead_at, replayed_at::timestamptz(0) AS replayed_at, emptied_at::timestamptz(0) AS emptied_at
FROM tallymill.dead_letters
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR (replayed_at IS NULL AND emptied_at IS NULL))
  AND ($6::timestamptz IS NULL OR dead_at >= $6)
ORDER BY dead_at DESC, topic_partition, kafka_offset DESC LIMIT $7
