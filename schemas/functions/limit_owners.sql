-- A limit on the topic partitions that a claim may enter. As a trigger, so that it holds whichever function claims.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.limit_owners() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('topic partition %s of %s: the books take topic partitions below 10000', NEW.topic_partition, NEW.topic);
END
$$;

REVOKE ALL ON FUNCTION tallymill.limit_owners() FROM PUBLIC;

CREATE OR REPLACE TRIGGER limit_owners BEFORE INSERT ON tallymill.owners FOR EACH ROW WHEN (NEW.topic_partition >= 10000) EXECUTE FUNCTION tallymill.limit_owners();

RESET ROLE;
