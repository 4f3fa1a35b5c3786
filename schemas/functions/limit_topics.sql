-- A limit on the topics that a claim may enter: a login that may only store events cannot fill the database with them. As a trigger, so that it holds whichever function claims.
-- Topics that a member of tallymill_admin enters are not counted.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.limit_topics() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.clusters', 0));
  IF (SELECT count(*) FROM tallymill.clusters c WHERE NOT c.entered_by_admin) > 64 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('topic %s would be the 65th that was not entered by tallymill_admin', NEW.topic),
      HINT = format('Have a member of tallymill_admin run: INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES (%L, %L, %L);',
                    NEW.topic, NEW.cluster_id, NEW.consumer_group);
  END IF;
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION tallymill.limit_topics() FROM PUBLIC;

CREATE OR REPLACE TRIGGER limit_topics AFTER INSERT ON tallymill.clusters FOR EACH ROW WHEN (NOT NEW.entered_by_admin) EXECUTE FUNCTION tallymill.limit_topics();

RESET ROLE;
