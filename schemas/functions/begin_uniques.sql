-- Begins a run of the uniques of one day that is due: call it in a REPEATABLE READ transaction that end_uniques() and COMMIT end. No row: nothing is due, or p_epoch does not lead.
-- The row of unique_state is what makes it safe: it is written first, so a transaction whose snapshot is older than another run's commit gets 40001 here, whoever leads.
-- The newest day is due once a minute, the other days that are not closed every five (their keys are written anew each time), a closed one at once. A day whose run failed is tried
-- again after ten minutes, or when the subjects have changed. p_since: every day that is stale and was not run since then is due. Days are numbers since 1970.
-- The first run of a day drops the keys of days older than p_keep: whoever was seen on them last counts as not seen before.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.begin_uniques(p_epoch bigint, p_keep interval, p_since timestamptz)
RETURNS TABLE (day integer, version bigint, definition integer, run bigint, was_stored boolean, is_stored boolean, has_later boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
  begun constant timestamptz := clock_timestamp();
  kept constant date := (clock_timestamp() AT TIME ZONE 'UTC')::date - p_keep;
  due record;
  number bigint;
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  IF kept <> (SELECT s.kept_from FROM tallymill.unique_state s) THEN
    PERFORM tallymill.keep_uniques_from(kept);
  END IF;
  SELECT u.day, u.version, u.definition, u.is_stored, u.is_newest INTO due FROM tallymill.unique_days u
    WHERE u.is_stale AND NOT u.is_dirty
      AND (u.failed_at IS NULL OR u.failed_at < begun - interval '10 minutes' OR u.failed_definition <> u.definition)
      AND CASE WHEN p_since IS NOT NULL THEN u.ran_at IS NULL OR u.ran_at < p_since
               ELSE u.ran_at IS NULL OR u.closed_at > u.ran_at
                 OR u.ran_at + CASE WHEN u.is_newest THEN interval '1 min' WHEN u.closed_at IS NULL THEN interval '5 min' ELSE interval '0' END <= begun END
    ORDER BY u.is_newest AND p_since IS NULL DESC, u.day LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE tallymill.unique_state s SET run = s.run + 1 RETURNING s.run INTO number;
  IF number IS DISTINCT FROM (SELECT s.run FROM tallymill.unique_state s) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
  RETURN QUERY SELECT due.day - date '1970-01-01', due.version, due.definition, number, due.is_stored, due.is_stored OR NOT due.is_newest,
    EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day > due.day);
END
$$;

REVOKE ALL ON FUNCTION tallymill.begin_uniques(bigint, interval, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.begin_uniques(bigint, interval, timestamptz) TO tallymill_aggregate;

RESET ROLE;
