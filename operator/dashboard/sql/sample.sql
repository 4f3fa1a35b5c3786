-- Where each topic partition of the topic $1 stands, and how far the statistics are behind the rows.
SELECT p.topic_partition, p.next_offset,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(b.committed_at)), 0)::float8
        FROM tallymill.unfolded u JOIN tallymill.batches b USING (topic, topic_partition, first_offset)) AS behind_s
FROM tallymill.positions p WHERE p.topic = $1;
