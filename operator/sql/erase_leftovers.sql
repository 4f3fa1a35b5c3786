-- What may lie in a store of archives that do not count (any more), and by which manifest it is ours (archive_generation_delete; NULL: none was written). Oldest first.
SELECT to_char(a.month, 'YYYY-MM') AS month, a.generation, a.target, CASE a.state WHEN 'writing' THEN a.manifest_sha256 ELSE coalesce(a.manifest_sha256, '') END AS manifest_sha256
FROM tallymill.archives a
WHERE a.state IN ('writing', 'superseded') AND a.target <> 'none' AND a.parts IS DISTINCT FROM 0
ORDER BY a.month, a.generation
