-- define_rollup as the release before asks it: its files know no ranges.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.define_rollup(p_rollup text, p_target text, p_keys text[], p_cadence interval, p_looks_back boolean, p_query text)
RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
  RETURN tallymill.define_rollup(p_rollup, p_target, p_keys, p_cadence, p_looks_back, p_query, false);
END
$$;

REVOKE ALL ON FUNCTION tallymill.define_rollup(text, text, text[], interval, boolean, text) FROM PUBLIC;

RESET ROLE;
