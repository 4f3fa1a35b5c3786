-- The first offset not yet stored, of each topic partition.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.positions AS
  SELECT o.topic, o.topic_partition,
         greatest(coalesce((SELECT b.next_offset FROM tallymill.batches b
                            WHERE b.topic = o.topic AND b.topic_partition = o.topic_partition
                            ORDER BY b.first_offset DESC LIMIT 1), 0),
                  coalesce((SELECT g.next_offset FROM tallymill.gaps g
                            WHERE g.topic = o.topic AND g.topic_partition = o.topic_partition
                            ORDER BY g.first_offset DESC LIMIT 1), 0)) AS next_offset
  FROM tallymill.owners o;

GRANT SELECT ON tallymill.positions TO tallymill_ingest, tallymill_aggregate, tallymill_read;

RESET ROLE;
