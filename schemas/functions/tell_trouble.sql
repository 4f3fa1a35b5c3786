-- What keeps a worker from storing its batch, told by itself while it waits: `tallymill status` shows it.
-- p_reason NULL: it is over. Bounded, because any worker may call it: 1,000 rows, texts of 512 characters.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.tell_trouble(p_topic text, p_owner text, p_sqlstate text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
BEGIN
  IF p_reason IS NULL THEN
    DELETE FROM tallymill.troubles WHERE topic = left(p_topic, 249) AND owner = left(p_owner, 200);
    RETURN;
  END IF;
  DELETE FROM tallymill.troubles WHERE said_at < clock_timestamp() - interval '1 hour';
  IF (SELECT count(*) FROM tallymill.troubles) < 1000 THEN
    INSERT INTO tallymill.troubles AS t (topic, owner, sqlstate, reason)
      VALUES (left(p_topic, 249), left(p_owner, 200), left(p_sqlstate, 5), left(p_reason, 512))
      ON CONFLICT (topic, owner) DO UPDATE SET
        sqlstate = excluded.sqlstate, reason = excluded.reason, said_at = excluded.said_at,
        since = CASE WHEN t.said_at < excluded.said_at - interval '1 minute' THEN excluded.since ELSE t.since END;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.tell_trouble(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.tell_trouble(text, text, text, text) TO tallymill_ingest;

RESET ROLE;
