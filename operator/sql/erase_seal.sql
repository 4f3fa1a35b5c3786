-- Puts the hash of erasure $1 into its receipt and into the chain. One row: the receipt as JSON.
WITH sealed AS (
  UPDATE tallymill.erasures r SET hash = tallymill.erasure_hash(r) WHERE r.erasure = $1::bigint RETURNING r.*
), chained AS (
  UPDATE tallymill.erasure_chain c SET receipts = s.receipt, hash = s.hash FROM sealed s RETURNING c.receipts
)
SELECT (to_jsonb(s) || jsonb_build_object('before_hash', encode(s.before_hash, 'hex'), 'hash', encode(s.hash, 'hex')))::text AS receipt,
       CASE WHEN NOT EXISTS (SELECT FROM chained h WHERE h.receipts = s.receipt) THEN tallymill.kept_out('tallymill.erasure_chain', 1, 0)::text END AS kept_out
FROM sealed s
