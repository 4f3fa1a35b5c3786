-- For the planted bug fence_without_lock: a fence that compares epoch and position as the real one does, but locks nothing before. Between
-- the comparison and the ledger row it waits at a gate (an advisory lock that the test holds), so that two workers' comparisons stand side by side.
CREATE FUNCTION tallymill.commit_batch_unlocked(p_batch_id bigint, p_topic text, p_partitions integer[], p_epochs bigint[],
  p_first_offsets bigint[], p_next_offsets bigint[], p_stored bigint[], p_duplicates bigint[], p_dead_letters bigint[],
  p_skipped bigint[], p_days text[], p_anchor_offsets bigint[], p_anchor_hashes bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. cardinality(p_partitions) LOOP
    IF NOT EXISTS (SELECT FROM tallymill.owners WHERE topic = p_topic AND topic_partition = p_partitions[i] AND epoch = p_epochs[i])
       OR tallymill.next_offset(p_topic, p_partitions[i]) <> p_first_offsets[i] THEN
      RAISE EXCEPTION USING ERRCODE = 'TM001', MESSAGE = 'fenced', DETAIL = p_partitions[i] || '/position';
    END IF;
  END LOOP;
  PERFORM pg_advisory_xact_lock_shared(4711);
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
ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey;
ALTER TABLE tallymill.batches DROP CONSTRAINT batches_pkey;
