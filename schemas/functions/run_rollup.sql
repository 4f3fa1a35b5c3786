-- One period of a rollup, as the release before asks it.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.run_rollup(p_rollup text, p_day date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
BEGIN
  RETURN tallymill.replace_rollup(p_rollup, ARRAY[p_day]);
END
$$;

REVOKE ALL ON FUNCTION tallymill.run_rollup(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.run_rollup(text, date) TO tallymill_aggregate;

RESET ROLE;
