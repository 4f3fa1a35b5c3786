-- Drops the bytes of a dead letter ($1 topic, $2 topic partition, $3 offset) for good, and counts it in erasure $4 under the name $5. Place and reason stay: the ledger counts them. So
-- does the month that a late one waits for, by which it is counted (tallymill.waiting_dead_letters): the rest of what a worker wrote may quote the event. One row: whether it had any.
WITH emptied AS (
  UPDATE tallymill.dead_letters d SET message_key = NULL, message_value = NULL, emptied_at = clock_timestamp(),
    detail = CASE d.reason WHEN 'archived_month' THEN coalesce(substring(d.detail FROM '^month [0-9]{4}-[0-9]{2} is archived'), '') ELSE '' END
  WHERE d.topic = $1 AND d.topic_partition = $2::integer AND d.kafka_offset = $3::bigint AND d.emptied_at IS NULL
  RETURNING d.emptied_at IS NOT NULL AND d.message_value IS NULL AND d.message_key IS NULL AS is_written
), noted AS (
  UPDATE tallymill.erasures r SET counts = r.counts || jsonb_build_object($5::text, coalesce((r.counts ->> $5::text)::bigint, 0) + 1)
  WHERE r.erasure = $4::bigint AND EXISTS (SELECT FROM emptied) RETURNING r.erasure
)
SELECT EXISTS (SELECT FROM emptied) AS is_emptied,
       CASE WHEN EXISTS (SELECT FROM emptied e WHERE NOT e.is_written) THEN tallymill.kept_out('tallymill.dead_letters', 1, 0)::text END AS kept_out
