-- The fence and the ledger rows of one batch: the last statement before COMMIT. Arrays run in parallel, sorted by topic partition (else TM004).
-- Lock, then compare: an UPDATE with the expected value in its WHERE would not wait for a commit in flight and miss it.
-- TM001: the claim no longer holds, or the ledger stands elsewhere; DETAIL lists "TOPIC_PARTITION/epoch" and "TOPIC_PARTITION/position".
-- Rows of the books that a policy hides are an error: its transaction does not pin row_security (common/postgres_begin.h).
-- What it wrote it reads again (kept_out says why); so it does with the dead letters that the worker has written before.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.commit_batch(p_batch_id bigint, p_topic text, p_partitions integer[], p_epochs bigint[],
  p_first_offsets bigint[], p_next_offsets bigint[], p_stored bigint[], p_duplicates bigint[], p_dead_letters bigint[],
  p_skipped bigint[], p_days text[], p_anchor_offsets bigint[], p_anchor_hashes bytea[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off SET row_security = off
AS $$
DECLARE
  held bigint;
  written bigint;
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
    ELSIF p_dead_letters[i] > 0 THEN
      PERFORM tallymill.prove_dead_letters(p_batch_id, p_topic, p_partitions[i], p_first_offsets[i], p_next_offsets[i], p_dead_letters[i]);
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
  written := 0;
  FOR i IN 1 .. cardinality(p_partitions) LOOP
    PERFORM FROM tallymill.batches b
      WHERE b.topic = p_topic AND b.topic_partition = p_partitions[i] AND b.first_offset = p_first_offsets[i]
        AND b.next_offset = p_next_offsets[i] AND b.batch_id = p_batch_id AND b.last_batch_id = p_batch_id AND b.stored = p_stored[i]
        AND b.duplicates = p_duplicates[i] AND b.dead_letters = p_dead_letters[i] AND b.skipped = p_skipped[i]
        AND b.days = p_days[i]::date[] AND b.anchor_offset IS NOT DISTINCT FROM p_anchor_offsets[i]
        AND b.anchor_hash IS NOT DISTINCT FROM p_anchor_hashes[i];
    written := written + CASE WHEN FOUND THEN 1 ELSE 0 END;
  END LOOP;
  IF written <> cardinality(p_partitions) THEN
    PERFORM tallymill.kept_out('tallymill.batches', cardinality(p_partitions), written);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.commit_batch(bigint, text, integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[], bigint[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.commit_batch(bigint, text, integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[], bigint[], bytea[]) TO tallymill_ingest;

RESET ROLE;
