-- Begins new books for a topic that was made anew (its id and cluster as Kafka tells them); the old ones are retired under the name that is returned. Epochs go on, so that
-- no worker of the old books passes the fence of the new ones. The leader's row is written: a cycle whose snapshot is older fails (40001) and begins again.
-- What it moves it counts: a book that stays behind under the old name would be taken for the new topic's (TM010). TM006: the books know no such topic, or it is the same still.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.renew_topic(p_topic text, p_topic_id text, p_cluster_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
  old_name text;
  book regclass;
  rows bigint;
  moved bigint;
BEGIN
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books know no topic %s', p_topic);
  ELSIF known.topic_id = p_topic_id AND p_topic_id <> '' AND known.cluster_id = p_cluster_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('topic %s is still the one that the books are about', p_topic);
  END IF;
  old_name := format('%s@%s', p_topic, known.generation);
  PERFORM pg_advisory_xact_lock(1952541804, 1);
  UPDATE tallymill.leader l SET claimed_at = l.claimed_at;
  PERFORM tallymill.raise_epochs(p_topic, NULL, 'retired');
  FOREACH book IN ARRAY ARRAY['tallymill.owners', 'tallymill.batches', 'tallymill.gaps', 'tallymill.removals', 'tallymill.dead_letters',
                              'tallymill.folded']::regclass[] LOOP
    EXECUTE format('SELECT count(*) FROM %s WHERE topic = $1', book) INTO rows USING p_topic;
    EXECUTE format('UPDATE %s SET topic = $2 WHERE topic = $1', book) USING p_topic, old_name;
    EXECUTE format('SELECT count(*) FROM %s WHERE topic = $1', book) INTO moved USING old_name;
    IF moved <> rows THEN
      PERFORM tallymill.kept_out(book, rows, moved);
    END IF;
  END LOOP;
  INSERT INTO tallymill.owners (topic, topic_partition, epoch, owner)
    SELECT p_topic, o.topic_partition, o.epoch, 'renewed' FROM tallymill.owners o WHERE o.topic = old_name;
  SELECT count(*) FILTER (WHERE o.topic = old_name), count(*) FILTER (WHERE o.topic = p_topic) INTO rows, moved
    FROM tallymill.owners o WHERE o.topic IN (old_name, p_topic);
  IF moved <> rows THEN
    PERFORM tallymill.kept_out('tallymill.owners', rows, moved);
  END IF;
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group, first_seen_at, topic_id, generation, retired_at)
    VALUES (old_name, known.cluster_id, known.consumer_group, known.first_seen_at, known.topic_id, known.generation,
            coalesce(known.retired_at, clock_timestamp()));
  UPDATE tallymill.clusters c SET cluster_id = p_cluster_id, topic_id = p_topic_id, generation = known.generation + 1,
                                  retired_at = NULL, first_seen_at = clock_timestamp()
    WHERE c.topic = p_topic;
  SELECT count(*) INTO moved FROM tallymill.clusters c
    WHERE (c.topic = old_name AND c.generation = known.generation AND c.retired_at IS NOT NULL)
       OR (c.topic = p_topic AND c.generation = known.generation + 1 AND c.topic_id = p_topic_id AND c.cluster_id = p_cluster_id AND c.retired_at IS NULL);
  IF moved <> 2 THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 2, moved);
  END IF;
  RETURN old_name;
END
$$;

REVOKE ALL ON FUNCTION tallymill.renew_topic(text, text, text) FROM PUBLIC;

RESET ROLE;
