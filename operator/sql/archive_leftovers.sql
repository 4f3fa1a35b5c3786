-- What may lie in a store of archives that do not count (any more), of month $1 (its first day; NULL: of all), and by which manifest it is ours (archive_generation_whose; NULL: none was written).
-- is_written: its manifest was, so that it is somewhere; is_emptying: a run has begun to delete it. Oldest first.
SELECT to_char(a.month, 'YYYY-MM') AS month, a.generation, a.target, CASE WHEN a.proven_at IS NULL THEN a.manifest_sha256 ELSE coalesce(a.manifest_sha256, '') END AS manifest_sha256,
       a.manifest_sha256 IS NOT NULL OR a.proven_at IS NOT NULL AS is_written, coalesce(a.bytes = 0, false) AS is_emptying
FROM tallymill.archives a
WHERE a.state IN ('writing', 'superseded') AND a.target <> 'none' AND a.parts IS DISTINCT FROM 0 AND ($1::date IS NULL OR a.month = $1::date)
ORDER BY a.month, a.generation
