-- The first offset not yet stored. Called after the owner's row is locked, in a statement (and so a snapshot) of its own. In plpgsql,
-- which keeps the plans for the session: as a function in SQL it was planned at every call.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.next_offset(p_topic text, p_partition integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
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

REVOKE ALL ON FUNCTION tallymill.next_offset(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.next_offset(text, integer) TO tallymill_ingest, tallymill_read;

RESET ROLE;
