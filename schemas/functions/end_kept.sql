-- Ends a run that begin_uniques() began of a day whose events are not to be read: the lists that it wrote anew replace those before, and removals that all days of their month have been through
-- are forgotten. COMMIT follows. 40001: the month came back meanwhile; begin again. TM004: see check_uniques.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.end_kept(p_day date, p_definition integer, p_run bigint, p_took_us bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p_month constant date := date_trunc('month', p_day::timestamp)::date;
  is_old constant boolean := p_day = date '0001-01-01';
BEGIN
  IF NOT is_old AND pg_partition_root(tallymill.month_table(p_month)) IS NOT DISTINCT FROM 'public.analytics_events'::regclass THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = format('the month of %s came back meanwhile', p_day);
  END IF;
  PERFORM tallymill.check_uniques();
  IF is_old THEN
    DELETE FROM tallymill.day_keys k WHERE (k.day = p_day AND k.run < p_run) OR (k.day > p_day AND k.day < (SELECT s.kept_from FROM tallymill.unique_state s));
  ELSE
    DELETE FROM tallymill.day_keys k USING tallymill.day_keys n
      WHERE k.day = p_day AND k.run < p_run AND n.day = p_day AND n.kind = k.kind AND n.run = p_run AND n.part < k.next_part AND n.next_part > k.part;
  END IF;
  INSERT INTO tallymill.unique_runs AS r (day, version, definition, run, is_stored, removal, ran_at, took_us)
    VALUES (p_day, (SELECT c.version FROM tallymill.changes c WHERE c.day = p_day), p_definition, p_run, true,
            coalesce((SELECT max(k.removal) FROM tallymill.key_removals k WHERE k.month = p_month), 0), clock_timestamp(), p_took_us)
    ON CONFLICT (day) DO UPDATE SET version = CASE WHEN is_old THEN excluded.version ELSE r.version END, definition = CASE WHEN is_old THEN excluded.definition ELSE r.definition END,
      run = excluded.run, is_stored = true, removal = greatest(r.removal, excluded.removal), ran_at = excluded.ran_at, took_us = excluded.took_us,
      error = NULL, failed_at = NULL, failed_definition = NULL;
  UPDATE tallymill.unique_state SET stored_run = p_run;
  DELETE FROM tallymill.key_removals k WHERE k.month = p_month AND NOT EXISTS (
    SELECT FROM tallymill.unique_runs r WHERE r.is_stored AND r.removal < k.removal AND r.day >= k.month AND r.day < k.month + interval '1 month');
  IF NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = p_day AND r.run = p_run AND r.is_stored AND r.error IS NULL) THEN
    PERFORM tallymill.kept_out('tallymill.unique_runs', 1, 0);
  ELSIF NOT EXISTS (SELECT FROM tallymill.unique_state s WHERE s.stored_run = p_run) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.end_kept(date, integer, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.end_kept(date, integer, bigint, bigint) TO tallymill_aggregate;

RESET ROLE;
