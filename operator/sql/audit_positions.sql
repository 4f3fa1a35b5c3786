-- Where the ledger stands for each topic partition, and on which Kafka cluster the topic was when it was first claimed.
SELECT p.topic, p.topic_partition, p.next_offset, c.cluster_id
FROM tallymill.positions p LEFT JOIN tallymill.clusters c USING (topic)
ORDER BY p.topic, p.topic_partition;
