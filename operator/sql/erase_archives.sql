-- The archives that count, in a store: of a month that is away the one that holds it (is_away), of one that is not what was kept of it. Oldest first.
SELECT to_char(a.month, 'YYYY-MM') AS month, a.generation, a.target, a.rows, a.foreign_rows, a.row_hash, a.bytes, m.state = 'archived' AND a.state = 'dropped' AS is_away
FROM tallymill.archives a JOIN tallymill.months m USING (month)
WHERE a.state IN ('proven', 'dropped') AND a.target <> 'none' AND a.parts IS DISTINCT FROM 0
ORDER BY a.month, a.generation
