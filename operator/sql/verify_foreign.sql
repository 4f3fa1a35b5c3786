-- Whether the rows that other programs inserted on one UTC day are those that the last rebuild saw. In psql:
--   SET tallymill.day = '2026-11-24';
WITH asked AS (
  SELECT current_setting('tallymill.day')::date AS day
), now_there AS (
  SELECT coalesce(sum(f.rows), 0)::bigint AS rows, coalesce(bit_xor(f.hash), 0) AS hash
  FROM tallymill.foreign_rows(tallymill.asked_from('day'), tallymill.asked_to('day')) f
)
SELECT n.rows AS rows, coalesce(d.foreign_rows, 0) AS seen_rows, d.closed_at IS NOT NULL AS is_closed,
       (n.rows, n.hash) = (coalesce(d.foreign_rows, 0), coalesce(d.foreign_hash, 0)) AS is_seen,
       -- Rows that were only UPDATEd wait for an aggregator, where one leads; where none does, the statistics differ and nobody will mend them.
       n.rows <> coalesce(d.foreign_rows, 0)
         OR EXISTS (SELECT FROM tallymill.leader l WHERE l.leader <> '' AND l.seen_at > clock_timestamp() - interval '1 minute') AS may_wait
FROM asked a CROSS JOIN now_there n LEFT JOIN tallymill.days d ON d.day = a.day;
