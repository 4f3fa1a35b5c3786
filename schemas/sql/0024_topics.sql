-- Which log a topic's books are about, and books that are closed. Runs in psql as it stands, after 0023.
--
-- A topic that was deleted and made anew under its name is another log; its offsets begin again and mean other events. Kafka's id of the topic (KIP-516) tells, whatever
-- the offsets say. The books of a topic that is no more are closed (retired), and a topic that was made anew begins with books of its own: the old ones then stand under
-- "NAME@GENERATION", a name that no topic can have. Rejected: a generation in every key and every query of the books, for what happens once in years.
--
-- Errors of our own: TM006 what an operator asks for is not so · TM008 the topic's books are closed · TM009 the topic was made anew

SET ROLE tallymill_admin;

-- topic_id: '' where it is not known (brokers before 2.8, or not asked yet).
ALTER TABLE tallymill.clusters
  ADD COLUMN topic_id text NOT NULL DEFAULT '',
  ADD COLUMN generation integer NOT NULL DEFAULT 1 CHECK (generation > 0),
  ADD COLUMN retired_at timestamptz;

-- Takes topic partitions, as before (0013), and compares which log is behind the topic's name. is_proven: the books know this very id; else the caller compares what stands
-- in the log with older anchors, and then says what the id is (name_topic). Separate statements on purpose: the lock waits for the old owner's commit in flight, and only
-- a snapshot taken after that wait sees what it committed. Must run in READ COMMITTED.
CREATE FUNCTION tallymill.claim(p_topic text, p_topic_id text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
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
  IF known.cluster_id <> p_cluster_id THEN
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
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition FOR UPDATE;
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = p_owner, claimed_at = clock_timestamp()
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions);
  RETURN QUERY
    SELECT o.topic_partition, o.epoch, tallymill.next_offset(o.topic, o.topic_partition), a.anchor_offset, a.anchor_hash,
           known.topic_id <> '' AND known.topic_id = p_topic_id
    FROM tallymill.owners o
    LEFT JOIN tallymill.anchors a ON a.topic = o.topic AND a.topic_partition = o.topic_partition
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition;
END
$$;

-- As a worker of the release before asks.
CREATE OR REPLACE FUNCTION tallymill.claim(p_topic text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
RETURNS TABLE (topic_partition integer, epoch bigint, next_offset bigint, anchor_offset bigint, anchor_hash bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.topic_partition, c.epoch, c.next_offset, c.anchor_offset, c.anchor_hash
  FROM tallymill.claim(p_topic, '', p_cluster_id, p_group, p_owner, p_partitions) AS c
$$;

-- The id of a topic whose log was found to be the one that the books are about. Whoever says another one than is known changes nothing: false.
CREATE FUNCTION tallymill.name_topic(p_topic text, p_topic_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE tallymill.clusters c SET topic_id = p_topic_id WHERE c.topic = p_topic AND c.topic_id = '' AND c.retired_at IS NULL;
  RETURN EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = p_topic AND c.topic_id = p_topic_id);
END
$$;

-- Up to p_count messages of each topic partition that the ledger knows, from the oldest that Kafka still has (its log begins at p_lows) to the last, evenly spread: where ids
-- do not tell, a log that was made anew shows by them. What lies before a reset is of another log.
CREATE FUNCTION tallymill.older_anchors(p_topic text, p_partitions integer[], p_lows bigint[], p_count integer)
RETURNS TABLE (topic_partition integer, anchor_offset bigint, anchor_hash bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT DISTINCT s.number, b.anchor_offset, b.anchor_hash
  FROM (SELECT w.number,
               greatest(w.low, (SELECT max(g.next_offset) FROM tallymill.gaps g
                                WHERE g.topic = p_topic AND g.topic_partition = w.number AND g.reason = 'reset')) AS first_offset,
               tallymill.next_offset(p_topic, w.number) AS next_offset
        FROM unnest(p_partitions, p_lows) AS w (number, low)) s
  CROSS JOIN generate_series(1, p_count) AS step
  CROSS JOIN LATERAL (SELECT l.anchor_offset, l.anchor_hash FROM tallymill.batches l
                      WHERE l.topic = p_topic AND l.topic_partition = s.number AND l.anchor_offset IS NOT NULL
                        AND l.first_offset < s.first_offset + (s.next_offset - s.first_offset) * step / p_count
                      ORDER BY l.first_offset DESC LIMIT 1) b
  WHERE s.next_offset > s.first_offset AND b.anchor_offset >= s.first_offset
  ORDER BY 1, 2;
END
$$;

-- Closes the books of a topic: they stay as they are, nobody stores it any more. The offsets that they cover.
CREATE FUNCTION tallymill.retire_topic(p_topic text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
BEGIN
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books know no topic %s', p_topic);
  ELSIF known.retired_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books of topic %s were closed before, at %s', p_topic, known.retired_at);
  END IF;
  UPDATE tallymill.clusters c SET retired_at = clock_timestamp() WHERE c.topic = p_topic;
  -- Whoever still stores it is fenced; the lock waits for its commit in flight.
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = 'retired', claimed_at = clock_timestamp() WHERE o.topic = p_topic;
  RETURN (SELECT coalesce(sum(p.next_offset), 0) FROM tallymill.positions p WHERE p.topic = p_topic);
END
$$;

-- Begins new books for a topic that was made anew (its id and cluster as Kafka tells them); the old ones are retired under the name that is returned. Epochs go on, so that
-- no worker of the old books passes the fence of the new ones. The leader's row is written: a cycle whose snapshot is older fails (40001) and begins again.
CREATE FUNCTION tallymill.renew_topic(p_topic text, p_topic_id text, p_cluster_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
  old_name text;
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
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic ORDER BY o.topic_partition FOR UPDATE;
  UPDATE tallymill.owners o SET topic = old_name, epoch = o.epoch + 1, owner = 'retired' WHERE o.topic = p_topic;
  UPDATE tallymill.batches b SET topic = old_name WHERE b.topic = p_topic;
  UPDATE tallymill.gaps g SET topic = old_name WHERE g.topic = p_topic;
  UPDATE tallymill.removals r SET topic = old_name WHERE r.topic = p_topic;
  UPDATE tallymill.dead_letters d SET topic = old_name WHERE d.topic = p_topic;
  UPDATE tallymill.folded f SET topic = old_name WHERE f.topic = p_topic;
  INSERT INTO tallymill.owners (topic, topic_partition, epoch, owner)
    SELECT p_topic, o.topic_partition, o.epoch, 'renewed' FROM tallymill.owners o WHERE o.topic = old_name;
  INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group, first_seen_at, topic_id, generation, retired_at)
    VALUES (old_name, known.cluster_id, known.consumer_group, known.first_seen_at, known.topic_id, known.generation,
            coalesce(known.retired_at, clock_timestamp()));
  UPDATE tallymill.clusters c SET cluster_id = p_cluster_id, topic_id = p_topic_id, generation = known.generation + 1,
                                  retired_at = NULL, first_seen_at = clock_timestamp()
    WHERE c.topic = p_topic;
  RETURN old_name;
END
$$;

REVOKE ALL ON FUNCTION tallymill.claim(text, text, text, text, text, integer[]), tallymill.name_topic(text, text),
  tallymill.older_anchors(text, integer[], bigint[], integer), tallymill.retire_topic(text), tallymill.renew_topic(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.claim(text, text, text, text, text, integer[]), tallymill.name_topic(text, text) TO tallymill_ingest;
GRANT EXECUTE ON FUNCTION tallymill.older_anchors(text, integer[], bigint[], integer), tallymill.next_offset(text, integer)
  TO tallymill_ingest, tallymill_read;

RESET ROLE;
