-- A gap's row; the caller holds the owner's lock.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.add_gap(p_topic text, p_partition integer, p_first_offset bigint, p_next_offset bigint, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason)
    VALUES (p_topic, p_partition, p_first_offset, p_next_offset, p_reason);
  PERFORM FROM tallymill.gaps g WHERE g.topic = p_topic AND g.topic_partition = p_partition AND g.first_offset = p_first_offset
    AND g.next_offset = p_next_offset AND g.reason = p_reason;
  IF NOT FOUND THEN
    PERFORM tallymill.kept_out('tallymill.gaps', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.add_gap(text, integer, bigint, bigint, text) FROM PUBLIC;

RESET ROLE;
