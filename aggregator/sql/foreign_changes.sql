-- Days from $1 (date; $2: its first moment, a constant to the planner) on whose rows of other programs are not those that the last rebuild saw, as days since 1970.
SELECT coalesce(f.day, d.day) - date '1970-01-01'
FROM tallymill.foreign_rows($2::timestamptz, 'infinity') f
FULL JOIN (SELECT day, foreign_rows, foreign_hash FROM tallymill.days WHERE day >= $1::date) d ON d.day = f.day
WHERE coalesce(f.rows, 0) <> coalesce(d.foreign_rows, 0) OR coalesce(f.hash, 0) <> coalesce(d.foreign_hash, 0)
