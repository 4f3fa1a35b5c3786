-- Where the daily statistics stand in each topic partition; `place` numbers the topic partitions.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.places AS
  SELECT row_number() OVER (ORDER BY o.topic, o.topic_partition)::integer - 1 AS place, o.topic, o.topic_partition,
         coalesce(f.next_offset, 0) AS next_offset
  FROM tallymill.owners o LEFT JOIN tallymill.folded f USING (topic, topic_partition);

GRANT SELECT ON tallymill.places TO tallymill_aggregate, tallymill_read;

RESET ROLE;
