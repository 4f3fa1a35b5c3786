-- What stands at places of topic $1 ($2 topic partitions, $3 offsets): a row for each, in the order asked; reason NULL: no dead letter.
SELECT a.topic_partition, a.kafka_offset, d.reason, d.emptied_at IS NOT NULL AS is_emptied,
       coalesce(octet_length(d.message_key), 0)::bigint + coalesce(octet_length(d.message_value), 0) AS bytes
FROM unnest($2::integer[], $3::bigint[]) WITH ORDINALITY AS a (topic_partition, kafka_offset, number)
LEFT JOIN tallymill.dead_letters d ON d.topic = $1 AND d.topic_partition = a.topic_partition AND d.kafka_offset = a.kafka_offset
ORDER BY a.number
