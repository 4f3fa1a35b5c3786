-- Claim and fence: what a worker calls to own topic partitions and to commit a batch. Runs in psql as it stands, after 0003.
--
-- Errors of our own:
--   TM001 the claim no longer holds, or the ledger stands elsewhere; DETAIL lists "TOPIC_PARTITION/epoch" and "TOPIC_PARTITION/position"
--   TM002 another consumer group stores this topic · TM003 the topic is on another cluster · TM004 the caller broke the contract

SET ROLE tallymill_admin;

-- The first offset not yet stored. Called after the owner's row is locked, in a statement (and so a snapshot) of its own. In plpgsql,
-- which keeps the plans for the session: as a function in SQL it was planned at every call.
CREATE FUNCTION tallymill.next_offset(p_topic text, p_partition integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  stored bigint;
  lost bigint;
BEGIN
  SELECT b.next_offset INTO stored FROM tallymill.batches b
    WHERE b.topic = p_topic AND b.topic_partition = p_partition ORDER BY b.first_offset DESC LIMIT 1;
  SELECT g.next_offset INTO lost FROM tallymill.gaps g
    WHERE g.topic = p_topic AND g.topic_partition = p_partition ORDER BY g.first_offset DESC LIMIT 1;
  RETURN greatest(stored, lost, 0);
END
$$;

-- Takes topic partitions. Separate statements on purpose: the lock waits for the old owner's commit in flight, and only
-- a snapshot taken after that wait sees what it committed. Must run in READ COMMITTED.
CREATE FUNCTION tallymill.claim(p_topic text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
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
    LEFT JOIN LATERAL (SELECT b.anchor_offset, b.anchor_hash FROM tallymill.batches b
                       WHERE b.topic = o.topic AND b.topic_partition = o.topic_partition
                       ORDER BY b.first_offset DESC LIMIT 1) a ON true
    WHERE o.topic = p_topic AND o.topic_partition = ANY (p_partitions)
    ORDER BY o.topic_partition;
END
$$;

-- The fence and the ledger rows of one batch: the last statement before COMMIT. Arrays run in parallel, sorted by topic partition.
-- Lock, then compare: an UPDATE with the expected value in its WHERE would not wait for a commit in flight and miss it.
CREATE FUNCTION tallymill.commit_batch(p_batch_id bigint, p_topic text, p_partitions integer[], p_epochs bigint[],
  p_first_offsets bigint[], p_next_offsets bigint[], p_stored bigint[], p_duplicates bigint[], p_dead_letters bigint[],
  p_skipped bigint[], p_days text[], p_anchor_offsets bigint[], p_anchor_hashes bytea[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint;
  refused text[] := '{}';
BEGIN
  FOR i IN 1 .. cardinality(p_partitions) LOOP
    IF i > 1 AND p_partitions[i] <= p_partitions[i - 1] THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'topic partitions of a batch must be sorted and unique';
    END IF;
    SELECT o.epoch INTO held FROM tallymill.owners o
      WHERE o.topic = p_topic AND o.topic_partition = p_partitions[i] FOR UPDATE;
    IF held IS DISTINCT FROM p_epochs[i] THEN
      refused := refused || (p_partitions[i] || '/epoch');
    ELSIF tallymill.next_offset(p_topic, p_partitions[i]) <> p_first_offsets[i] THEN
      refused := refused || (p_partitions[i] || '/position');
    END IF;
  END LOOP;
  IF cardinality(refused) > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM001',
      MESSAGE = format('batch %s of topic %s is fenced', p_batch_id, p_topic), DETAIL = array_to_string(refused, ' ');
  END IF;
  INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored,
                                 duplicates, dead_letters, skipped, days, anchor_offset, anchor_hash)
    SELECT p_batch_id, p_batch_id, p_topic, r.topic_partition, r.first_offset, r.next_offset, r.stored,
           r.duplicates, r.dead_letters, r.skipped, r.days::date[], r.anchor_offset, r.anchor_hash
    FROM unnest(p_partitions, p_first_offsets, p_next_offsets, p_stored, p_duplicates, p_dead_letters, p_skipped, p_days,
                p_anchor_offsets, p_anchor_hashes)
         AS r (topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days,
               anchor_offset, anchor_hash);
END
$$;

-- Notes offsets that Kafka no longer has, under the same fence. The gap begins where the ledger stands.
CREATE FUNCTION tallymill.record_gap(p_topic text, p_partition integer, p_epoch bigint, p_next_offset bigint, p_reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint;
BEGIN
  SELECT o.epoch INTO held FROM tallymill.owners o
    WHERE o.topic = p_topic AND o.topic_partition = p_partition FOR UPDATE;
  IF held IS DISTINCT FROM p_epoch THEN
    RAISE EXCEPTION USING ERRCODE = 'TM001',
      MESSAGE = format('a gap in topic %s is fenced', p_topic), DETAIL = p_partition || '/epoch';
  END IF;
  INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason)
    VALUES (p_topic, p_partition, tallymill.next_offset(p_topic, p_partition), p_next_offset, p_reason);
END
$$;

REVOKE ALL ON FUNCTION tallymill.next_offset(text, integer),
  tallymill.claim(text, text, text, text, integer[]),
  tallymill.commit_batch(bigint, text, integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[],
                         bigint[], bytea[]),
  tallymill.record_gap(text, integer, bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.claim(text, text, text, text, integer[]),
  tallymill.commit_batch(bigint, text, integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[],
                         bigint[], bytea[]),
  tallymill.record_gap(text, integer, bigint, bigint, text) TO tallymill_ingest;

RESET ROLE;
