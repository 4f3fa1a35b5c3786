-- Begins a run of the uniques of one day that is due: call it in a REPEATABLE READ transaction that end_uniques() (end_kept() where version is NULL) and COMMIT end. No row: nothing is due, or
-- p_epoch does not lead.
-- The row of unique_state is what makes it safe: it is written first, so a transaction whose snapshot is older than another run's commit gets 40001 here, whoever leads.
-- The newest day is due once a minute, the other days that are not closed every five (their keys are written anew each time), a closed one at once (unique_days.cadence). A day whose run failed is tried
-- again after ten minutes, or when the subjects have changed. p_since: every day that is stale and was not run since then is due, and the newest one wherever others changed behind it. Days are
-- numbers since 1970.
-- The first run of a day drops the keys of days older than p_keep. Only that its users were there is kept, and counted in the same transaction: day 0001-01-01 (kept_keys says what it is).
-- version NULL: the events of the day are not to be read; its keys are those that are kept, but for what kept_keys() says. First come days of months that left from which persons are to go;
-- last, who was seen before all days that are kept, since what is kept decides who that is.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.begin_uniques(p_epoch bigint, p_keep interval, p_since timestamptz)
RETURNS TABLE (day integer, version bigint, definition integer, run bigint, was_stored boolean, is_stored boolean, has_later boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
  old constant date := '0001-01-01';
  begun constant timestamptz := clock_timestamp();
  kept constant date := (clock_timestamp() AT TIME ZONE 'UTC')::date - p_keep;
  is_dropping boolean;
  due record;
  number bigint;
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  IF kept <> (SELECT s.kept_from FROM tallymill.unique_state s)
     AND NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = old AND r.failed_at >= begun - interval '10 minutes') THEN
    PERFORM tallymill.keep_uniques_from(kept);
  END IF;
  is_dropping := EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day > old AND k.day < (SELECT s.kept_from FROM tallymill.unique_state s));
  IF NOT is_dropping THEN
    SELECT r.day, NULL::bigint AS version, s.definition, true AS was_stored, true AS is_stored INTO due
      FROM tallymill.key_removals k
      JOIN tallymill.months m ON m.month = k.month AND m.state = 'archived'
      JOIN tallymill.unique_runs r ON r.day >= k.month AND r.day < k.month + interval '1 month' AND r.is_stored AND r.removal < k.removal
      CROSS JOIN tallymill.unique_state s
      WHERE r.failed_at IS NULL OR r.failed_at < begun - interval '10 minutes' OR r.failed_definition <> s.definition
      ORDER BY r.day LIMIT 1;
    IF NOT FOUND THEN
      SELECT u.day, u.version, u.definition, u.is_stored AS was_stored, u.is_stored OR NOT u.is_newest OR u.closed_at IS NOT NULL AS is_stored INTO due FROM tallymill.unique_days u
        WHERE u.is_stale AND NOT u.is_dirty
          AND (u.failed_at IS NULL OR u.failed_at < begun - interval '10 minutes' OR u.failed_definition <> u.definition)
          AND CASE WHEN p_since IS NOT NULL THEN u.ran_at IS NULL OR u.ran_at < p_since OR (u.is_newest AND u.run < (SELECT s.stored_run FROM tallymill.unique_state s))
                   ELSE u.ran_at IS NULL OR u.closed_at > u.ran_at
                     OR u.ran_at + u.cadence <= begun END
        ORDER BY u.is_newest AND p_since IS NULL DESC, u.day LIMIT 1;
    END IF;
  END IF;
  IF is_dropping OR NOT FOUND THEN
    SELECT old AS day, NULL::bigint AS version, s.definition, true AS was_stored, true AS is_stored INTO due
      FROM tallymill.unique_state s
      LEFT JOIN tallymill.unique_runs r ON r.day = old
      LEFT JOIN tallymill.changes c ON c.day = old
      WHERE is_dropping
         OR ((EXISTS (SELECT FROM tallymill.key_removals k WHERE k.month = old AND k.removal > coalesce(r.removal, 0))
              OR (EXISTS (SELECT FROM tallymill.unique_subjects u WHERE u.retired_at IS NULL) AND c.version IS NOT NULL
                  AND (r.version IS DISTINCT FROM c.version OR r.definition IS DISTINCT FROM s.definition)))
             AND (r.failed_at IS NULL OR r.failed_at < begun - interval '10 minutes' OR r.failed_definition <> s.definition)
             AND (p_since IS NULL OR r.ran_at IS NULL OR r.ran_at < p_since));
    IF NOT FOUND THEN
      RETURN;
    END IF;
  END IF;
  UPDATE tallymill.unique_state s SET run = s.run + 1 RETURNING s.run INTO number;
  IF number IS DISTINCT FROM (SELECT s.run FROM tallymill.unique_state s) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
  RETURN QUERY SELECT due.day - date '1970-01-01', due.version, due.definition, number, due.was_stored, due.is_stored,
    EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day > due.day);
END
$$;

REVOKE ALL ON FUNCTION tallymill.begin_uniques(bigint, interval, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.begin_uniques(bigint, interval, timestamptz) TO tallymill_aggregate;

RESET ROLE;
