-- What a replay would send, by reason: how many, their bytes, and how many of them Kafka would not take, because they have more than $8 bytes alone. Parameters as in
-- dlq_counts.sql, $7 only those of this key (NULL: any).
SELECT reason, count(*) FILTER (WHERE s.bytes <= $8::bigint) AS dead_letters, coalesce(sum(s.bytes) FILTER (WHERE s.bytes <= $8::bigint), 0)::bigint AS bytes,
       count(*) FILTER (WHERE s.bytes > $8::bigint) AS too_large
FROM tallymill.dead_letters d
CROSS JOIN LATERAL (SELECT coalesce(octet_length(d.message_key), 0)::bigint + coalesce(octet_length(d.message_value), 0) AS bytes) s
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR replayed_at IS NULL) AND emptied_at IS NULL
  AND ($6::timestamptz IS NULL OR dead_at >= $6) AND ($7::bytea IS NULL OR message_key = $7)
GROUP BY reason ORDER BY 2 DESC, 1
