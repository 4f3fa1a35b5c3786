-- claim as a worker of the release before asks it, which does not know the topic's id.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.claim(p_topic text, p_cluster_id text, p_group text, p_owner text, p_partitions integer[])
RETURNS TABLE (topic_partition integer, epoch bigint, next_offset bigint, anchor_offset bigint, anchor_hash bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.topic_partition, c.epoch, c.next_offset, c.anchor_offset, c.anchor_hash
  FROM tallymill.claim(p_topic, '', p_cluster_id, p_group, p_owner, p_partitions) AS c
$$;

REVOKE ALL ON FUNCTION tallymill.claim(text, text, text, text, integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.claim(text, text, text, text, integer[]) TO tallymill_ingest;

RESET ROLE;
