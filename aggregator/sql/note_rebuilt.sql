-- A day was rebuilt: $1 date, $2 whether it is over, $3 how long that took in us, $4 and $5 the rows of other programs as it saw them.
-- Its version goes up whatever its statistics were: a row may have changed in what they do not count.
WITH raised AS (
  INSERT INTO tallymill.changes AS c (day, version) VALUES ($1::date, 1) ON CONFLICT (day) DO UPDATE SET version = c.version + 1
)
INSERT INTO tallymill.days AS d (day, closed_at, rebuilt_at, rebuild_us, foreign_rows, foreign_hash)
VALUES ($1::date, CASE WHEN $2::boolean THEN clock_timestamp() END, clock_timestamp(), $3::bigint, $4::bigint, $5::bigint)
ON CONFLICT (day) DO UPDATE
SET closed_at = coalesce(d.closed_at, excluded.closed_at), dirty_since = NULL, dirty_reason = NULL, rebuilt_at = excluded.rebuilt_at,
    rebuild_us = excluded.rebuild_us, foreign_rows = excluded.foreign_rows, foreign_hash = excluded.foreign_hash
