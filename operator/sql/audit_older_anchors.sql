-- Messages that the ledger knows of the topic tallymill.audit_topic, spread over what Kafka still has: its logs begin at tallymill.audit_lows, an array by topic partition.
SELECT a.topic_partition, a.anchor_offset, encode(a.anchor_hash, 'hex') AS anchor_hash
FROM (SELECT array_agg(w.place::integer - 1 ORDER BY w.place) AS partitions, array_agg(w.low ORDER BY w.place) AS lows
      FROM unnest(nullif(current_setting('tallymill.audit_lows', true), '')::bigint[]) WITH ORDINALITY AS w (low, place)) k,
     LATERAL tallymill.older_anchors(current_setting('tallymill.audit_topic', true), k.partitions, k.lows, 5) a
WHERE NOT EXISTS (SELECT FROM tallymill.anchors l WHERE l.topic = current_setting('tallymill.audit_topic', true)
                    AND l.topic_partition = a.topic_partition AND l.anchor_offset = a.anchor_offset)
ORDER BY a.topic_partition, a.anchor_offset;
