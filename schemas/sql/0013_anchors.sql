-- The last message that the ledger knows of each topic partition. What lies behind an operator's reset has none: a reset is how a topic partition goes on whose
-- log was truncated and has grown again, and there the message that was stored last is another one for ever. Runs in psql as it stands, after 0012.

SET ROLE tallymill_admin;

CREATE VIEW tallymill.anchors AS
  SELECT o.topic, o.topic_partition, b.anchor_offset, b.anchor_hash
  FROM tallymill.owners o
  CROSS JOIN LATERAL (SELECT l.next_offset, l.anchor_offset, l.anchor_hash FROM tallymill.batches l
                      WHERE l.topic = o.topic AND l.topic_partition = o.topic_partition
                      ORDER BY l.first_offset DESC LIMIT 1) b
  WHERE b.anchor_offset IS NOT NULL
    AND NOT EXISTS (SELECT FROM tallymill.gaps g WHERE g.topic = o.topic AND g.topic_partition = o.topic_partition
                      AND g.first_offset >= b.next_offset AND g.reason = 'reset');

GRANT SELECT ON tallymill.anchors TO tallymill_ingest, tallymill_aggregate, tallymill_read;

-- As it was in 0004, but for the anchor.
CREATE OR REPLACE FUNCTION tallymill.claim(p_topic text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
RETURNS TABLE (topic_partition integer, epoch bigint, next_offset bigint, anchor_offset bigint, anchor_hash bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  known tallymill.clusters;
BEGIN
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES (p_topic, p_cluster_id, p_group) ON CONFLICT DO NOTHING;
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic;
  IF known.cluster_id <> p_cluster_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM003',
      MESSAGE = format('topic %s belongs to Kafka cluster %s, this is cluster %s', p_topic, known.cluster_id, p_cluster_id),
      HINT = 'Offsets of two clusters do not compare: give the topic on the new cluster a new name.';
  ELSIF known.consumer_group <> p_group THEN
    RAISE EXCEPTION USING ERRCODE = 'TM002',
      MESSAGE = format('topic %s is stored by consumer group %s, not %s', p_topic, known.consumer_group, p_group),
      HINT = format('Set consumer.group=%s, or use another database.', known.consumer_group);
  END IF;

  INSERT INTO tallymill.owners (topic, topic_partition)
    SELECT p_topic, p FROM unnest(p_partitions) AS p ORDER BY p ON CONFLICT DO NOTHING;
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition FOR UPDATE;
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = p_owner, claimed_at = clock_timestamp()
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions);
  RETURN QUERY
    SELECT o.topic_partition, o.epoch, tallymill.next_offset(o.topic, o.topic_partition), a.anchor_offset, a.anchor_hash
    FROM tallymill.owners o
    LEFT JOIN tallymill.anchors a ON a.topic = o.topic AND a.topic_partition = o.topic_partition
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition;
END
$$;

RESET ROLE;
