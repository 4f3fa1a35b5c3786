-- Days wait for a rebuild: $1 date[], $2 text[] reasons. Whoever marked one before keeps its time and reason.
INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
SELECT day, clock_timestamp(), reason FROM unnest($1::date[], $2::text[]) AS n (day, reason)
ON CONFLICT (day) DO UPDATE SET dirty_since = excluded.dirty_since, dirty_reason = excluded.dirty_reason WHERE d.dirty_since IS NULL
