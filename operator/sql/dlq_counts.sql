-- Dead letters by reason. $1 topic, $2 reason, $3 topic partition, $4 offset (each of these three may be NULL: any), $5 also those replayed or emptied, $6 only those dead since then (NULL: any).
SELECT reason, count(*) AS dead_letters, count(replayed_at) AS replayed, count(emptied_at) AS emptied, min(dead_at)::timestamptz(0) AS first, max(dead_at)::timestamptz(0) AS last
FROM tallymill.dead_letters
WHERE topic = $1 AND ($2::text IS NULL OR reason = $2) AND ($3::integer IS NULL OR topic_partition = $3)
  AND ($4::bigint IS NULL OR kafka_offset = $4) AND ($5::boolean OR (replayed_at IS NULL AND emptied_at IS NULL))
  AND ($6::timestamptz IS NULL OR dead_at >= $6)
GROUP BY reason ORDER BY 2 DESC, 1
