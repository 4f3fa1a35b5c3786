-- Asks for a rebuild of a day ($1 date). One a statement: several could lock each other out with the aggregator, who takes them in another order. A row that is marked already is written all the same: a rebuild under way whose snapshot is older than this
-- moment then ends with 40001 and is done again, instead of taking the mark away without having seen what the caller saw.
-- No row, or one that is not marked: somebody's trigger or rule kept it out.
INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
VALUES ($1::date, clock_timestamp(), 'asked')
ON CONFLICT (day) DO UPDATE SET dirty_since = coalesce(d.dirty_since, excluded.dirty_since), dirty_reason = coalesce(d.dirty_reason, excluded.dirty_reason)
RETURNING d.dirty_since IS NOT NULL AS is_marked
