-- As the release before asks it, one period at a time: runs what is due, newest days first or longest waiting first, until p_budget has passed; at least one. Once for all due
-- periods of one snapshot: call it in a REPEATABLE READ transaction of its own.
-- The fence: only while p_epoch leads. What makes it safe is the run's row, taken first: in REPEATABLE READ a transaction whose snapshot is older than
-- another's commit gets 40001 there, so newer rows are never replaced by older ones, whoever leads. (The leader's row itself would not do: a cycle
-- would wait for it as long as a query lasts.)
-- p_since: every period that is stale and was not run since then is due, whatever its cadence.
-- A query that fails costs its own period, whatever its SQLSTATE: the error is kept, and it is tried again after ten minutes or when its file has changed.
-- What is about the server (a full disk, a lost connection of ours) fails outside of the query too, and there the transaction.
-- A conflict (class 40) wants a newer snapshot, so the transaction goes again; a query that conflicts each time would keep the others waiting for ever, so
-- after some tries the caller says SET LOCAL tallymill.conflicts = 'aside', and it is treated as any other failure. A query that was cancelled ends the call:
-- whoever cancels wants it to end.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.run_rollups(p_epoch bigint, p_budget interval, p_newest_first boolean, p_since timestamptz DEFAULT NULL)
RETURNS TABLE (rollup text, first_day date, changed_rows bigint, took_us bigint, error text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  begun constant timestamptz := clock_timestamp();
  due record;
  started timestamptz;
  is_cancelled boolean := false;
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  FOR due IN
    SELECT p.rollup, p.first_day, p.version, p.definition FROM tallymill.rollup_periods p
    WHERE p.is_stale
      AND (p.failed_at IS NULL OR p.failed_at < begun - interval '10 minutes' OR p.failed_definition <> p.definition)
      AND (p.ran_at IS NULL OR p.is_new OR p.closed_at > p.ran_at OR p.ran_at + p.cadence <= begun OR p.ran_at < p_since)
      AND (p_since IS NULL OR p.ran_at IS NULL OR p.ran_at < p_since OR p.is_new)
    ORDER BY CASE WHEN NOT p_newest_first THEN p.ran_at END NULLS FIRST, p.first_day DESC, p.ran_at NULLS FIRST, p.rollup
    LIMIT 1000
  LOOP
    started := clock_timestamp();
    INSERT INTO tallymill.rollup_runs AS t (rollup, first_day) VALUES (due.rollup, due.first_day) ON CONFLICT DO NOTHING;
    PERFORM FROM tallymill.rollup_runs t WHERE t.rollup = due.rollup AND t.first_day = due.first_day FOR UPDATE;
    rollup := due.rollup;
    first_day := due.first_day;
    error := NULL;
    BEGIN
      changed_rows := tallymill.run_rollup(due.rollup, due.first_day);
      took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
      UPDATE tallymill.rollup_runs t
        SET version = due.version, definition = due.definition, ran_at = clock_timestamp(), took_us = run_rollups.took_us,
            error = NULL, failed_at = NULL, failed_definition = NULL
        WHERE t.rollup = due.rollup AND t.first_day = due.first_day;
    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
      IF left(SQLSTATE, 2) = '40' AND current_setting('tallymill.conflicts', true) IS DISTINCT FROM 'aside' THEN
        RAISE;
      END IF;
      is_cancelled := SQLSTATE = '57014';
      error := SQLSTATE || ' ' || SQLERRM;
      changed_rows := 0;
      took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
      UPDATE tallymill.rollup_runs t SET error = run_rollups.error, failed_at = clock_timestamp(), failed_definition = due.definition
        WHERE t.rollup = due.rollup AND t.first_day = due.first_day;
    END;
    RETURN NEXT;
    EXIT WHEN is_cancelled OR clock_timestamp() - begun > p_budget;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.run_rollups(bigint, interval, boolean, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.run_rollups(bigint, interval, boolean, timestamptz) TO tallymill_aggregate;

RESET ROLE;
