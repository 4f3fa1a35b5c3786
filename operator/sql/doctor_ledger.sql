-- A ledger that nobody merges, and one that has grown too long to be read quickly. Columns as in doctor_server.sql.
WITH waiting AS (
  SELECT count(*) AS rows FROM (SELECT FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.committed_at < clock_timestamp() - interval '3 hours' LIMIT 200000) b
), held AS (
  SELECT greatest(c.reltuples, 0)::bigint AS rows FROM pg_catalog.pg_class c WHERE c.oid = 'tallymill.batches'::regclass
)
SELECT w.rows >= 200000 AS is_finding, 'ledger' AS object,
       format('%s%s rows of the ledger are older than three hours and were not merged', CASE WHEN w.rows >= 200000 THEN 'more than ' ELSE '' END, w.rows) AS what,
       'the aggregator merges them hourly (aggregator.merge_every); a cycle, status and audit read them all' AS why,
       'systemctl restart tallymill-aggregator -- and see its log' AS remedy
FROM waiting w WHERE w.rows > 20000
UNION ALL
SELECT true, 'ledger rows', format('the ledger has about %s rows', h.rows), 'audit and status read all of them', 'systemctl restart tallymill-aggregator -- and see its log'
FROM held h WHERE h.rows > 5000000
