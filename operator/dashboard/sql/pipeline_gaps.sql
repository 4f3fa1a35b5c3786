-- The newest gaps: offsets that Kafka no longer had when they were to be read.
SELECT topic, topic_partition, first_offset, next_offset - first_offset AS offsets, reason, extract(epoch FROM clock_timestamp() - noticed_at)::float8 AS ago_s
FROM tallymill.gaps ORDER BY noticed_at DESC LIMIT 10;
