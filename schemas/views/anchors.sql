-- The last message that the ledger knows of each topic partition. What lies behind an operator's reset has none: a reset is how a topic partition goes on whose
-- log was truncated and has grown again, and there the message that was stored last is another one for ever.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.anchors AS
  SELECT o.topic, o.topic_partition, b.anchor_offset, b.anchor_hash
  FROM tallymill.owners o
  CROSS JOIN LATERAL (SELECT l.next_offset, l.anchor_offset, l.anchor_hash FROM tallymill.batches l
                      WHERE l.topic = o.topic AND l.topic_partition = o.topic_partition
                      ORDER BY l.first_offset DESC LIMIT 1) b
  WHERE b.anchor_offset IS NOT NULL
    AND NOT EXISTS (SELECT FROM tallymill.gaps g WHERE g.topic = o.topic AND g.topic_partition = o.topic_partition
                      AND g.first_offset >= b.next_offset AND g.reason = 'reset');

GRANT SELECT ON tallymill.anchors TO tallymill_ingest, tallymill_aggregate, tallymill_read;

RESET ROLE;
