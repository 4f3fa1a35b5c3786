-- The epochs of topic partitions of one topic (all of them: NULL) go up by one, under their locks; nobody who holds an older one passes the fence.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.raise_epochs(p_topic text, p_partitions integer[], p_owner text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before record;
  behind record;
BEGIN
  PERFORM 1 FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions))
    ORDER BY o.topic_partition FOR UPDATE;
  SELECT count(*) AS rows, coalesce(sum(o.epoch), 0) AS epochs INTO before
    FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  UPDATE tallymill.owners o SET epoch = o.epoch + 1, owner = p_owner, claimed_at = clock_timestamp()
    WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  SELECT count(*) AS rows, coalesce(sum(o.epoch), 0) AS epochs INTO behind
    FROM tallymill.owners o WHERE o.topic = p_topic AND (p_partitions IS NULL OR o.topic_partition = ANY (p_partitions));
  IF behind.rows <> before.rows OR behind.epochs <> before.epochs + before.rows
     OR (p_partitions IS NOT NULL AND before.rows <> (SELECT count(DISTINCT p) FROM unnest(p_partitions) AS p)) THEN
    PERFORM tallymill.kept_out('tallymill.owners', coalesce(cardinality(p_partitions), before.rows),
                               greatest(0, behind.epochs - before.epochs)::bigint);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.raise_epochs(text, integer[], text) FROM PUBLIC;

RESET ROLE;
