-- rollup_differences of one period, as the release before asks it.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.rollup_differences(p_rollup text, p_day date)
RETURNS TABLE (row_key text, column_name text, have text, should text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT d.row_key, d.column_name, d.have, d.should FROM tallymill.rollup_differences(p_rollup, ARRAY[p_day]) d;
END
$$;

REVOKE ALL ON FUNCTION tallymill.rollup_differences(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.rollup_differences(text, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
