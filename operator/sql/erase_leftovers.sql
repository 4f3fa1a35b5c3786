-- What may lie in a store of archives that do not count (any more). Oldest first.
SELECT to_char(a.month, 'YYYY-MM') AS month, a.generation, a.target FROM tallymill.archives a
WHERE a.state IN ('writing', 'superseded') AND a.target <> 'none' AND a.parts IS DISTINCT FROM 0
ORDER BY a.month, a.generation
