-- Empties at most p_limit dead letters older than p_keep, the oldest first; how many they were.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.empty_dead_letters(p_keep interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' SET statement_timeout = '30s'
AS $$
DECLARE
  emptied bigint;
BEGIN
  UPDATE tallymill.dead_letters d SET message_key = NULL, message_value = NULL, emptied_at = clock_timestamp()
  FROM (SELECT o.topic, o.topic_partition, o.kafka_offset FROM tallymill.dead_letters o
        WHERE o.emptied_at IS NULL AND o.dead_at < clock_timestamp() - p_keep
        ORDER BY o.dead_at LIMIT p_limit FOR UPDATE SKIP LOCKED) old
  WHERE d.topic = old.topic AND d.topic_partition = old.topic_partition AND d.kafka_offset = old.kafka_offset;
  GET DIAGNOSTICS emptied = ROW_COUNT;
  RETURN emptied;
END
$$;

REVOKE ALL ON FUNCTION tallymill.empty_dead_letters(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.empty_dead_letters(interval, integer) TO tallymill_aggregate;

RESET ROLE;
