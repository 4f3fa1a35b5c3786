-- Closes the books of a topic: they stay as they are, nobody stores it any more. The offsets that they cover. TM006: the books know no such topic, or were closed before.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.retire_topic(p_topic text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tallymill.clusters;
BEGIN
  SELECT * INTO known FROM tallymill.clusters c WHERE c.topic = p_topic FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books know no topic %s', p_topic);
  ELSIF known.retired_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the books of topic %s were closed before, at %s', p_topic, known.retired_at);
  END IF;
  UPDATE tallymill.clusters c SET retired_at = clock_timestamp() WHERE c.topic = p_topic;
  IF NOT EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = p_topic AND c.retired_at IS NOT NULL) THEN
    PERFORM tallymill.kept_out('tallymill.clusters', 1, 0);
  END IF;
  -- Whoever still stores it is fenced; the lock waits for its commit in flight.
  PERFORM tallymill.raise_epochs(p_topic, NULL, 'retired');
  RETURN (SELECT coalesce(sum(p.next_offset), 0) FROM tallymill.positions p WHERE p.topic = p_topic);
END
$$;

REVOKE ALL ON FUNCTION tallymill.retire_topic(text) FROM PUBLIC;

RESET ROLE;
