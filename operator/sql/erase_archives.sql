-- The archives that count, in a store: of a month that is away the one that holds it (is_away), of one that is not what was kept of it. Oldest first. is_leaving: the month is on its way out, and
-- its rows are in no query, so that until it stays only its archive tells of them.
SELECT to_char(a.month, 'YYYY-MM') AS month, a.generation, a.target, a.rows, a.foreign_rows, a.row_hash, a.manifest_sha256, a.bytes, m.state = 'archived' AND a.state = 'dropped' AS is_away,
       m.state = 'detaching' AND NOT EXISTS (SELECT FROM tallymill.attached_months t WHERE t.month = m.month)
         AND a.generation = (SELECT max(o.generation) FROM tallymill.archives o WHERE o.month = m.month AND o.state = 'proven') AS is_leaving
FROM tallymill.archives a JOIN tallymill.months m USING (month)
WHERE a.state IN ('proven', 'dropped') AND a.target <> 'none' AND a.parts IS DISTINCT FROM 0
ORDER BY a.month, a.generation
