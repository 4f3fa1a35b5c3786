-- Whether the dead letters of a batch stand at offsets of its range, so many as it counts: else TM010, for a trigger has moved them elsewhere, or given them another place.
-- By index, whatever the statistics say of a table that was empty a moment ago: the session keeps its plan.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.prove_dead_letters(p_batch_id bigint, p_topic text, p_partition integer, p_first_offset bigint, p_next_offset bigint,
                                                     p_count bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  standing bigint;
BEGIN
  SELECT count(*) INTO standing FROM tallymill.dead_letters d
    WHERE d.topic = p_topic AND d.topic_partition = p_partition AND d.kafka_offset >= p_first_offset AND d.kafka_offset < p_next_offset
      AND d.batch_id = p_batch_id;
  IF standing <> p_count THEN
    PERFORM tallymill.kept_out('tallymill.dead_letters', p_count, standing);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.prove_dead_letters(bigint, text, integer, bigint, bigint, bigint) FROM PUBLIC;

RESET ROLE;
