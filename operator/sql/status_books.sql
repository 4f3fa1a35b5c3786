-- Each topic of the books: its id in Kafka when it was first claimed ('' where it is not known), and how many of its dead letters wait.
SELECT c.topic, c.topic_id, (SELECT count(*) FROM tallymill.dead_letters d WHERE d.topic = c.topic AND d.replayed_at IS NULL AND d.emptied_at IS NULL) AS waiting
FROM tallymill.clusters c ORDER BY c.topic;
