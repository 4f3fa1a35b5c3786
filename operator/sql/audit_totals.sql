-- What the ledger says, for each topic: consumed = stored + duplicates + dead_letters + skipped + gaps.
WITH tiles AS (
  SELECT topic, topic_partition, next_offset - first_offset AS offsets, stored, duplicates, dead_letters, skipped, 0 AS gaps
  FROM tallymill.batches
  UNION ALL
  SELECT topic, topic_partition, next_offset - first_offset, 0, 0, 0, 0, next_offset - first_offset FROM tallymill.gaps
), removed AS (
  SELECT topic, sum(CASE WHEN reason = 'restored' THEN -abs(rows) ELSE rows END)::bigint AS rows FROM tallymill.removals GROUP BY topic
), known AS (
  SELECT topic, topic_partition FROM tallymill.owners UNION SELECT topic, topic_partition FROM tiles
), counted AS (
  SELECT topic, sum(offsets)::bigint AS consumed, sum(stored)::bigint AS stored, sum(duplicates)::bigint AS duplicates,
         sum(dead_letters)::bigint AS dead_letters, sum(skipped)::bigint AS skipped, sum(gaps)::bigint AS gaps
  FROM tiles GROUP BY topic
)
SELECT k.topic, count(*) AS topic_partitions, coalesce(c.consumed, 0) AS consumed, coalesce(c.stored, 0) AS stored,
       coalesce(c.duplicates, 0) AS duplicates, coalesce(c.dead_letters, 0) AS dead_letters, coalesce(c.skipped, 0) AS skipped,
       coalesce(c.gaps, 0) AS gaps, coalesce(r.rows, 0) AS removed, l.retired_at::timestamptz(0) AS retired_at
FROM known k LEFT JOIN counted c USING (topic) LEFT JOIN removed r USING (topic) LEFT JOIN tallymill.clusters l USING (topic)
GROUP BY k.topic, c.consumed, c.stored, c.duplicates, c.dead_letters, c.skipped, c.gaps, r.rows, l.retired_at
ORDER BY k.topic;
