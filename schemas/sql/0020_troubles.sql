-- What keeps a worker from storing its batch, told by itself while it waits: `tallymill status` shows it. Runs in psql as it stands, after 0019.

SET ROLE tallymill_admin;

-- Heard of again every few seconds, and gone once a batch is stored; a row that is older than a minute is of a worker that ended.
CREATE TABLE tallymill.troubles (
  topic    text NOT NULL,
  owner    text NOT NULL,
  sqlstate text NOT NULL,
  reason   text NOT NULL,
  since    timestamptz NOT NULL DEFAULT clock_timestamp(),
  said_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, owner)
);
GRANT SELECT ON tallymill.troubles TO tallymill_read;

-- p_reason NULL: it is over. Bounded, because any worker may call it: 1,000 rows, texts of 512 characters.
CREATE FUNCTION tallymill.tell_trouble(p_topic text, p_owner text, p_sqlstate text, p_reason text) RETURNS void
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
