-- Runs what is stale of a rollup from p_first to p_last, with one query: call it in a REPEATABLE READ transaction of its own. No row: nothing is, or p_epoch
-- does not lead. What makes it safe are the periods' rows in rollup_runs, taken first: in REPEATABLE READ a transaction whose snapshot is older than
-- another's commit gets 40001 there, so newer rows are never replaced by older ones, whoever leads. (The leader's row itself would not do: a cycle
-- would wait for it as long as a query lasts.)
-- A query that fails, or is ended by statement_timeout, costs its own period, whatever its SQLSTATE: the error is kept there. Of several periods nothing
-- is kept but the error returned: the caller tries fewer. What is about the server (a full disk, a lost connection of ours) fails outside of the query
-- too, and there the transaction. A conflict (class 40) wants a newer snapshot, so the transaction goes again; of a query that conflicts each time the
-- caller says SET LOCAL tallymill.conflicts = 'aside', and it is treated as any other failure.
-- What it wrote to rollup_runs it reads again: TM010, outside of what a query's failure costs.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.run_rollups_between(p_epoch bigint, p_rollup text, p_first date, p_last date)
RETURNS TABLE (periods bigint, changed_rows bigint, took_us bigint, error text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  begun constant timestamptz := clock_timestamp();
  r tallymill.rollups;
  days date[];
  versions bigint[];
  written bigint;
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  SELECT * INTO r FROM tallymill.rollups t WHERE t.rollup = p_rollup AND t.retired_at IS NULL;
  SELECT array_agg(v.first_day ORDER BY v.first_day), array_agg(v.version ORDER BY v.first_day) INTO days, versions
    FROM tallymill.period_versions(r.period_days, r.looks_back, p_first, p_last) v
    LEFT JOIN tallymill.rollup_runs t ON t.rollup = p_rollup AND t.first_day = v.first_day AND t.first_day BETWEEN p_first AND p_last
    WHERE t.definition IS DISTINCT FROM r.definition OR t.version IS DISTINCT FROM v.version;
  IF r.rollup IS NULL OR days IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO tallymill.rollup_runs AS t (rollup, first_day) SELECT p_rollup, u.day FROM unnest(days) AS u (day) ON CONFLICT DO NOTHING;
  PERFORM FROM tallymill.rollup_runs t WHERE t.rollup = p_rollup AND t.first_day = ANY (days) ORDER BY t.first_day FOR UPDATE;
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> cardinality(days) THEN
    PERFORM tallymill.kept_out('tallymill.rollup_runs', cardinality(days), written);
  END IF;
  periods := cardinality(days);
  changed_rows := 0;
  BEGIN
    changed_rows := tallymill.replace_rollup(p_rollup, days);
    took_us := extract(epoch FROM clock_timestamp() - begun) * 1000000;
    UPDATE tallymill.rollup_runs t
      SET version = u.version, definition = r.definition, ran_at = clock_timestamp(), took_us = run_rollups_between.took_us / periods,
          error = NULL, failed_at = NULL, failed_definition = NULL
      FROM unnest(days, versions) AS u (day, version)
      WHERE t.rollup = p_rollup AND t.first_day = u.day;
  EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
    IF left(SQLSTATE, 2) = '40' AND current_setting('tallymill.conflicts', true) IS DISTINCT FROM 'aside' THEN
      RAISE;
    END IF;
    error := SQLSTATE || ' ' || SQLERRM;
    took_us := extract(epoch FROM clock_timestamp() - begun) * 1000000;
    IF periods = 1 THEN
      UPDATE tallymill.rollup_runs t
        SET error = run_rollups_between.error, failed_at = clock_timestamp(), failed_definition = r.definition, took_us = run_rollups_between.took_us
        WHERE t.rollup = p_rollup AND t.first_day = days[1];
    END IF;
  END;
  SELECT count(*) INTO written FROM unnest(days, versions) AS u (day, version)
    JOIN tallymill.rollup_runs t ON t.rollup = p_rollup AND t.first_day = u.day
    WHERE CASE WHEN run_rollups_between.error IS NULL THEN t.error IS NULL AND t.definition = r.definition AND t.version IS NOT DISTINCT FROM u.version
               ELSE periods > 1 OR t.error IS NOT DISTINCT FROM run_rollups_between.error END;
  IF written <> periods THEN
    PERFORM tallymill.kept_out('tallymill.rollup_runs', periods, written);
  END IF;
  RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION tallymill.run_rollups_between(bigint, text, date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.run_rollups_between(bigint, text, date, date) TO tallymill_aggregate;

RESET ROLE;
