-- The id of a topic whose log was found to be the one that the books are about. Whoever says another one than is known changes nothing: false.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.name_topic(p_topic text, p_topic_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE tallymill.clusters c SET topic_id = p_topic_id WHERE c.topic = p_topic AND c.topic_id = '' AND c.retired_at IS NULL;
  RETURN EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = p_topic AND c.topic_id = p_topic_id);
END
$$;

REVOKE ALL ON FUNCTION tallymill.name_topic(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.name_topic(text, text) TO tallymill_ingest;

RESET ROLE;
