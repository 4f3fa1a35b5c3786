-- An operator's reset: what a topic partition has not stored up to an offset is given up, as a gap. Runs in psql as it stands, after 0005.

SET ROLE tallymill_admin;

-- Moves the ledger of a topic partition forward to p_to_offset; the offset it stood at. The epoch goes up, so that a running worker is fenced and begins
-- again at the new position. Backward is refused (TM006): those offsets have their outcome, and a second one would be stored beside it.
CREATE FUNCTION tallymill.reset_position(p_topic text, p_partition integer, p_to_offset bigint) RETURNS bigint
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
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = 'reset', claimed_at = clock_timestamp()
    WHERE o.topic = p_topic AND o.topic_partition = p_partition;
  INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason)
    VALUES (p_topic, p_partition, reached, p_to_offset, 'reset');
  RETURN reached;
END
$$;

REVOKE ALL ON FUNCTION tallymill.reset_position(text, integer, bigint) FROM PUBLIC;

RESET ROLE;
