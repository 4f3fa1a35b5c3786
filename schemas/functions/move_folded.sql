-- Moves `folded` of the topic partitions with these numbers (as tallymill.places counts them in this snapshot). Batches of a topic partition whose row did not move would be
-- counted twice: TM010 (kept_out).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.move_folded(p_places integer[], p_next_offsets bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  wanted record;
  moved bigint;
BEGIN
  -- Which topic partition has which place is asked once: the places themselves are counted anew where rows of `folded` come.
  SELECT array_agg(p.topic) AS topics, array_agg(p.topic_partition) AS numbers, array_agg(n.next_offset) AS ends, count(*) AS rows INTO wanted
    FROM unnest(p_places, p_next_offsets) AS n (place, next_offset) JOIN tallymill.places p USING (place);
  INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
    SELECT * FROM unnest(wanted.topics, wanted.numbers, wanted.ends)
    ON CONFLICT (topic, topic_partition) DO UPDATE SET next_offset = excluded.next_offset;
  SELECT count(*) INTO moved FROM unnest(wanted.topics, wanted.numbers, wanted.ends) AS n (topic, number, next_offset)
    JOIN tallymill.folded f ON f.topic = n.topic AND f.topic_partition = n.number AND f.next_offset = n.next_offset;
  IF moved <> wanted.rows THEN
    PERFORM tallymill.kept_out('tallymill.folded', wanted.rows, moved);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.move_folded(integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.move_folded(integer[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
