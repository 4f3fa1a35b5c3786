-- A run of a day failed: it keeps its rows, and the other days go on.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.fail_uniques(p_day date, p_definition integer, p_error text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tallymill.unique_runs AS r (day, error, failed_at, failed_definition) VALUES (p_day, p_error, clock_timestamp(), p_definition)
    ON CONFLICT (day) DO UPDATE SET error = excluded.error, failed_at = excluded.failed_at, failed_definition = excluded.failed_definition;
  IF NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = p_day AND r.error = p_error) THEN
    PERFORM tallymill.kept_out('tallymill.unique_runs', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.fail_uniques(date, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.fail_uniques(date, integer, text) TO tallymill_aggregate;

RESET ROLE;
