-- Empties at most p_limit dead letters older than p_keep, the oldest first; how many they were. TM010 (kept_out): not all of them are empty now.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.empty_dead_letters(p_keep interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' SET statement_timeout = '30s'
AS $$
DECLARE
  topics text[];
  partitions integer[];
  offsets bigint[];
  emptied bigint;
BEGIN
  SELECT coalesce(array_agg(o.topic), '{}'), array_agg(o.topic_partition), array_agg(o.kafka_offset) INTO topics, partitions, offsets
  FROM (SELECT d.topic, d.topic_partition, d.kafka_offset FROM tallymill.dead_letters d
        WHERE d.emptied_at IS NULL AND d.dead_at < clock_timestamp() - p_keep
        ORDER BY d.dead_at LIMIT p_limit FOR UPDATE SKIP LOCKED) o;
  UPDATE tallymill.dead_letters d SET message_key = NULL, message_value = NULL, emptied_at = clock_timestamp()
  FROM unnest(topics, partitions, offsets) AS o (topic, topic_partition, kafka_offset)
  WHERE d.topic = o.topic AND d.topic_partition = o.topic_partition AND d.kafka_offset = o.kafka_offset;
  SELECT count(*) INTO emptied FROM unnest(topics, partitions, offsets) AS o (topic, topic_partition, kafka_offset)
  JOIN tallymill.dead_letters d ON d.topic = o.topic AND d.topic_partition = o.topic_partition AND d.kafka_offset = o.kafka_offset
  WHERE d.emptied_at IS NOT NULL;
  IF emptied <> cardinality(topics) THEN
    PERFORM tallymill.kept_out('tallymill.dead_letters', cardinality(topics), emptied);
  END IF;
  RETURN emptied;
END
$$;

REVOKE ALL ON FUNCTION tallymill.empty_dead_letters(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.empty_dead_letters(interval, integer) TO tallymill_aggregate;

RESET ROLE;
