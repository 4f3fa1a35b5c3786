-- The batches that the daily statistics have not taken in: one row for each topic partition of a batch, in order of offsets there.
-- `place` numbers the topic partitions as tallymill.places does. OFFSET 0 keeps the planner on one index range a topic partition.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.unfolded AS
  SELECT p.place, p.topic, p.topic_partition, b.batch_id, b.last_batch_id, b.first_offset, b.next_offset, b.stored, b.days
  FROM tallymill.places p CROSS JOIN LATERAL (
    SELECT * FROM tallymill.batches b
    WHERE b.topic = p.topic AND b.topic_partition = p.topic_partition AND b.first_offset >= p.next_offset
    ORDER BY b.first_offset OFFSET 0) b;

GRANT SELECT ON tallymill.unfolded TO tallymill_aggregate, tallymill_read;

RESET ROLE;
