-- Asks for a rebuild of days ($1 date[]). A row that is marked already is written all the same: a rebuild under way whose snapshot is older than this
-- moment then ends with 40001 and is done again, instead of taking the mark away without having seen what the caller saw.
INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
SELECT day, clock_timestamp(), 'asked' FROM unnest($1::date[]) AS n (day)
ON CONFLICT (day) DO UPDATE SET dirty_since = coalesce(d.dirty_since, excluded.dirty_since), dirty_reason = coalesce(d.dirty_reason, excluded.dirty_reason)
