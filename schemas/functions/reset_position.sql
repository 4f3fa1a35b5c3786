-- An operator's reset: moves the ledger of a topic partition forward to p_to_offset; the offset it stood at. What was not stored before is given up, as a gap. The epoch goes up, so that
-- a running worker is fenced and begins again at the new position. Backward is refused (TM006): those offsets have their outcome, and a second one would be stored beside it.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.reset_position(p_topic text, p_partition integer, p_to_offset bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  reached bigint;
BEGIN
  INSERT INTO tallymill.owners (topic, topic_partition) VALUES (p_topic, p_partition) ON CONFLICT DO NOTHING;
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND o.topic_partition = p_partition FOR UPDATE;
  reached := tallymill.next_offset(p_topic, p_partition);
  IF p_to_offset <= reached THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006',
      MESSAGE = format('topic partition %s of %s stands at offset %s: a reset goes forward only, not to %s',
                       p_partition, p_topic, reached, p_to_offset);
  END IF;
  PERFORM tallymill.raise_epochs(p_topic, ARRAY[p_partition], 'reset');
  PERFORM tallymill.add_gap(p_topic, p_partition, reached, p_to_offset, 'reset');
  RETURN reached;
END
$$;

REVOKE ALL ON FUNCTION tallymill.reset_position(text, integer, bigint) FROM PUBLIC;

RESET ROLE;
