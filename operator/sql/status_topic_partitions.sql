-- Where each topic partition stands: owner, position, last commit, how far the statistics have come. Not of topics whose books are closed.
SELECT o.topic, o.topic_partition, o.owner, o.epoch, o.claimed_at, p.next_offset, last.committed_at,
       (extract(epoch FROM clock_timestamp() - last.committed_at) * 1000000)::bigint AS commit_age_us, f.next_offset AS folded_offset
FROM tallymill.owners o
JOIN tallymill.positions p USING (topic, topic_partition)
LEFT JOIN tallymill.folded f USING (topic, topic_partition)
LEFT JOIN LATERAL (SELECT b.committed_at FROM tallymill.batches b
                   WHERE b.topic = o.topic AND b.topic_partition = o.topic_partition ORDER BY b.first_offset DESC LIMIT 1) last ON true
WHERE NOT EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = o.topic AND c.retired_at IS NOT NULL)
ORDER BY o.topic, o.topic_partition;
