-- Ends erasure $1: whether all was reached ($2), what was not ($3), until when Kafka may have the messages ($4 seconds from now, NULL: not known). Its receipt is the next of the chain, which
-- must be locked before. One row: the receipt.
WITH written AS (
  UPDATE tallymill.erasures r
  SET is_complete = $2::boolean, remarks = $3::text[], kafka_until = clock_timestamp() + $4::bigint * interval '1 second', finished_at = clock_timestamp(),
      receipt = c.receipts + 1, before_hash = c.hash, hash = ''
  FROM tallymill.erasure_chain c WHERE r.erasure = $1::bigint AND r.receipt IS NULL
  RETURNING r.erasure
)
SELECT erasure FROM written
