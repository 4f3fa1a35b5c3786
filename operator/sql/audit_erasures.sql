-- Damage: receipts of erasures that were changed or taken away. An erasure that was begun and not ended is of kind "note". No row: all is well.
WITH receipts AS (
  SELECT e.receipt, e.hash, tallymill.erasure_hash(e) AS right_hash, e.before_hash, coalesce(lag(e.receipt) OVER (ORDER BY e.receipt), 0) AS before,
         coalesce(lag(e.hash) OVER (ORDER BY e.receipt), '') AS hash_before
  FROM tallymill.erasures e WHERE e.receipt IS NOT NULL
), newest AS (
  SELECT coalesce(max(r.receipt), 0) AS receipt, (SELECT n.hash FROM receipts n ORDER BY n.receipt DESC LIMIT 1) AS hash FROM receipts r
), found AS (
  SELECT 'receipt changed' AS kind, r.receipt, format('receipt %s of an erasure is not as it was written', r.receipt) AS damage FROM receipts r WHERE r.hash <> r.right_hash
  UNION ALL
  SELECT 'receipt missing', r.receipt, format('receipts %s to %s of erasures are gone', r.before + 1, r.receipt - 1) FROM receipts r WHERE r.receipt <> r.before + 1
  UNION ALL
  SELECT 'receipt changed', r.receipt, format('receipt %s of an erasure does not follow on the one before it', r.receipt) FROM receipts r
  WHERE r.receipt = r.before + 1 AND r.before_hash <> r.hash_before
  UNION ALL
  SELECT 'receipt missing', n.receipt + 1, CASE WHEN c.receipts IS NULL THEN 'the head of the chain of receipts (tallymill.erasure_chain) is gone'
                                                WHEN c.receipts > n.receipt THEN format('receipts %s to %s of erasures are gone', n.receipt + 1, c.receipts)
                                                ELSE format('the chain of receipts ends with %s, and its head says %s, or another hash', n.receipt, c.receipts) END
  FROM newest n LEFT JOIN tallymill.erasure_chain c ON true
  WHERE c.receipts IS DISTINCT FROM n.receipt OR c.hash IS DISTINCT FROM coalesce(n.hash, '')
  UNION ALL
  SELECT 'note', NULL, format('erasure %s, asked for at %s UTC, was not ended: tallymill erase with the same users and sessions goes on with it', e.erasure,
                              date_trunc('second', e.asked_at AT TIME ZONE 'UTC'))
  FROM tallymill.erasures e WHERE e.receipt IS NULL AND e.asked_at < clock_timestamp() - interval '1 hour'
)
SELECT f.kind, NULL::text AS topic, NULL::integer AS topic_partition, NULL::bigint AS first_offset, NULL::bigint AS next_offset, NULL::bigint AS batch_id, NULL::date AS day, f.damage
FROM found f ORDER BY f.receipt NULLS LAST
