-- Where the ledger stands for each topic partition, the last message it knows there, and on which Kafka cluster the topic was when it was first claimed, under which
-- id. Not of topics whose books are closed.
SELECT p.topic, p.topic_partition, p.next_offset, c.cluster_id, c.topic_id, a.anchor_offset, encode(a.anchor_hash, 'hex') AS anchor_hash
FROM tallymill.positions p LEFT JOIN tallymill.clusters c USING (topic)
  LEFT JOIN tallymill.anchors a ON a.topic = p.topic AND a.topic_partition = p.topic_partition
WHERE c.retired_at IS NULL
ORDER BY p.topic, p.topic_partition;
