-- Notes offsets that Kafka no longer has, under the same fence as commit_batch (TM001). The gap begins where the ledger stands.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.record_gap(p_topic text, p_partition integer, p_epoch bigint, p_next_offset bigint, p_reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held bigint;
BEGIN
  SELECT o.epoch INTO held FROM tallymill.owners o
    WHERE o.topic = p_topic AND o.topic_partition = p_partition FOR UPDATE;
  IF held IS DISTINCT FROM p_epoch THEN
    RAISE EXCEPTION USING ERRCODE = 'TM001',
      MESSAGE = format('a gap in topic %s is fenced', p_topic), DETAIL = p_partition || '/epoch';
  END IF;
  PERFORM tallymill.add_gap(p_topic, p_partition, tallymill.next_offset(p_topic, p_partition), p_next_offset, p_reason);
END
$$;

REVOKE ALL ON FUNCTION tallymill.record_gap(text, integer, bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.record_gap(text, integer, bigint, bigint, text) TO tallymill_ingest;

RESET ROLE;
