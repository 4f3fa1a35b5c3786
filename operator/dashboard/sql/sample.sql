-- Where each topic partition stands, and how far the statistics are behind the rows.
SELECT p.topic, p.topic_partition, p.next_offset,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(b.committed_at)), 0)::float8
        FROM tallymill.unfolded u JOIN tallymill.batches b USING (topic, topic_partition, first_offset)) AS behind_s
FROM tallymill.positions p ORDER BY p.topic, p.topic_partition;
