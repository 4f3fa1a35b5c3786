-- Drops the bytes of the dead letters at places of topic $1 ($2 topic partitions, $3 offsets) for good. Place and reason stay: the ledger counts them. One row: how many.
WITH asked AS (
  SELECT d.ctid FROM tallymill.dead_letters d
  WHERE d.topic = $1 AND d.emptied_at IS NULL
    AND (d.topic_partition, d.kafka_offset) IN (SELECT topic_partition, kafka_offset FROM unnest($2::integer[], $3::bigint[]) AS p (topic_partition, kafka_offset))
  FOR UPDATE
), emptied AS (
  UPDATE tallymill.dead_letters d SET message_key = NULL, message_value = NULL, emptied_at = clock_timestamp()
  FROM asked a WHERE d.ctid = a.ctid
  RETURNING d.emptied_at
), counted AS (
  SELECT (SELECT count(*) FROM asked) AS wanted, (SELECT count(emptied_at) FROM emptied) AS written
)
SELECT c.written, CASE WHEN c.written <> c.wanted THEN tallymill.kept_out('tallymill.dead_letters', c.wanted, c.written)::text END FROM counted c
