-- For the planted bug no_fence: what the worker then calls, and the guards behind the fence taken away.
-- Without its keys the database itself refuses neither a second batch from the same offset nor a second row of an event.
CREATE FUNCTION tallymill.commit_batch_unfenced(p_batch_id bigint, p_topic text, p_partitions integer[], p_epochs bigint[],
  p_first_offsets bigint[], p_next_offsets bigint[], p_stored bigint[], p_duplicates bigint[], p_dead_letters bigint[],
  p_skipped bigint[], p_days text[], p_anchor_offsets bigint[], p_anchor_hashes bytea[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored,
                                 duplicates, dead_letters, skipped, days, anchor_offset, anchor_hash)
    SELECT p_batch_id, p_batch_id, p_topic, r.topic_partition, r.first_offset, r.next_offset, r.stored,
           r.duplicates, r.dead_letters, r.skipped, r.days::date[], r.anchor_offset, r.anchor_hash
    FROM unnest(p_partitions, p_first_offsets, p_next_offsets, p_stored, p_duplicates, p_dead_letters, p_skipped, p_days,
                p_anchor_offsets, p_anchor_hashes)
         AS r (topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days,
               anchor_offset, anchor_hash)
$$;
ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey;
ALTER TABLE tallymill.batches DROP CONSTRAINT batches_pkey;
