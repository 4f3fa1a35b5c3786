-- Ends a run that begin_uniques() began: the keys of the day's run before go, and the day is of this version. COMMIT follows.
-- 40001: the day's month left meanwhile, which the snapshot does not show; begin again. TM004: see check_uniques.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.end_uniques(p_day date, p_version bigint, p_definition integer, p_run bigint, p_is_stored boolean, p_took_us bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_partition_root(tallymill.month_table(date_trunc('month', p_day::timestamp)::date)) IS DISTINCT FROM 'public.analytics_events'::regclass THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = format('the month of %s left analytics_events meanwhile', p_day);
  END IF;
  PERFORM tallymill.check_uniques();
  DELETE FROM tallymill.day_keys k WHERE k.day = p_day AND k.run < p_run;
  IF p_is_stored AND EXISTS (SELECT FROM tallymill.archives a WHERE a.month = date_trunc('month', p_day::timestamp)::date)
     AND NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = p_day AND r.is_stored) THEN
    PERFORM tallymill.raise_versions(ARRAY[date '0001-01-01']); -- users whom tallymill.first_seen knows of this day have it as a day of their own now
  END IF;
  INSERT INTO tallymill.unique_runs AS r (day, version, definition, run, is_stored, ran_at, took_us)
    VALUES (p_day, p_version, p_definition, p_run, p_is_stored, clock_timestamp(), p_took_us)
    ON CONFLICT (day) DO UPDATE SET version = excluded.version, definition = excluded.definition, run = excluded.run, is_stored = excluded.is_stored,
      ran_at = excluded.ran_at, took_us = excluded.took_us, error = NULL, failed_at = NULL, failed_definition = NULL;
  UPDATE tallymill.unique_state SET stored_run = p_run WHERE p_is_stored;
  IF NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = p_day AND r.version = p_version AND r.run = p_run AND r.is_stored = p_is_stored AND r.error IS NULL) THEN
    PERFORM tallymill.kept_out('tallymill.unique_runs', 1, 0);
  ELSIF EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day = p_day AND k.run < p_run) THEN
    PERFORM tallymill.kept_out('tallymill.day_keys', 1, 0);
  ELSIF p_is_stored AND NOT EXISTS (SELECT FROM tallymill.unique_state s WHERE s.stored_run = p_run) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.end_uniques(date, bigint, integer, bigint, boolean, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.end_uniques(date, bigint, integer, bigint, boolean, bigint) TO tallymill_aggregate;

RESET ROLE;
