-- Takes topic partitions, and compares which log is behind the topic's name. is_proven: the books know this very id; else the caller compares what stands in the log with older
-- anchors, and then says what the id is (name_topic). Separate statements on purpose: the lock (raise_epochs) waits for the old owner's commit in flight, and only a snapshot
-- taken after that wait sees what it committed. Must run in READ COMMITTED.
-- TM002: another consumer group stores this topic. TM003: it is on another cluster. TM008: its books are closed. TM009: it was made anew.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.claim(p_topic text, p_topic_id text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
RETURNS TABLE (topic_partition integer, epoch bigint, next_offset bigint, anchor_offset bigint, anchor_hash bytea, is_proven boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  known tallymill.clusters;
BEGIN
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES (p_topic, p_cluster_id, p_group) ON CONFLICT DO NOTHING;
  -- Nothing is stored yet, so nothing needs to be proven.
  UPDATE tallymill.clusters c SET topic_id = p_topic_id
    WHERE c.topic = p_topic AND c.topic_id = '' AND p_topic_id <> '' AND c.cluster_id = p_cluster_id
      AND NOT EXISTS (SELECT FROM tallymill.batches b WHERE b.topic = p_topic);
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR SHARE;
  IF NOT FOUND THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 1, 0);
  ELSIF known.cluster_id <> p_cluster_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM003',
      MESSAGE = format('topic %s belongs to Kafka cluster %s, this is cluster %s', p_topic, known.cluster_id, p_cluster_id),
      HINT = format('Offsets of two clusters do not compare. Give the topic on the new cluster a new name (and close the old books: tallymill topic retire %s), '
                    'or begin new books under the same name: tallymill topic renew %s.', p_topic, p_topic);
  ELSIF known.consumer_group <> p_group THEN
    RAISE EXCEPTION USING ERRCODE = 'TM002',
      MESSAGE = format('topic %s is stored by consumer group %s, not %s', p_topic, known.consumer_group, p_group),
      HINT = format('Set consumer.group=%s, or use another database.', known.consumer_group);
  ELSIF known.retired_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM008',
      MESSAGE = format('the books of topic %s were closed at %s: nothing of it is stored any more', p_topic, known.retired_at),
      HINT = format('If the topic was made anew: tallymill topic renew %s.', p_topic);
  ELSIF known.topic_id <> p_topic_id AND known.topic_id <> '' AND p_topic_id <> '' THEN
    RAISE EXCEPTION USING ERRCODE = 'TM009',
      MESSAGE = format('topic %s was deleted and made anew: its id is %s, the books are about %s', p_topic, p_topic_id, known.topic_id),
      HINT = format('To begin new books with the new topic, and close the old ones: tallymill topic renew %s.', p_topic);
  END IF;

  INSERT INTO tallymill.owners (topic, topic_partition)
    SELECT p_topic, p FROM unnest(p_partitions) AS p ORDER BY p ON CONFLICT DO NOTHING;
  PERFORM tallymill.raise_epochs(p_topic, p_partitions, p_owner);
  RETURN QUERY
    SELECT o.topic_partition, o.epoch, tallymill.next_offset(o.topic, o.topic_partition), a.anchor_offset, a.anchor_hash,
           known.topic_id <> '' AND known.topic_id = p_topic_id
    FROM tallymill.owners o
    LEFT JOIN tallymill.anchors a ON a.topic = o.topic AND a.topic_partition = o.topic_partition
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition;
END
$$;

REVOKE ALL ON FUNCTION tallymill.claim(text, text, text, text, text, integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.claim(text, text, text, text, text, integer[]) TO tallymill_ingest;

RESET ROLE;
