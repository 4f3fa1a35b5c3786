-- Drops the bytes of the dead letters at places of topic $1 ($2 topic partitions, $3 offsets) for good. Place and reason stay: the ledger counts them.
UPDATE tallymill.dead_letters d SET message_key = NULL, message_value = NULL, emptied_at = clock_timestamp()
FROM (SELECT DISTINCT topic_partition, kafka_offset FROM unnest($2::integer[], $3::bigint[]) AS p (topic_partition, kafka_offset)) a
WHERE d.topic = $1 AND d.topic_partition = a.topic_partition AND d.kafka_offset = a.kafka_offset AND d.emptied_at IS NULL
