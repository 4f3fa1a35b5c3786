-- drop_month as the release before asks it, which does not know of what snapshot the month was written out.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.drop_month(p_month date, p_generation integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM tallymill.drop_month(p_month, p_generation, NULL, NULL);
END
$$;

REVOKE ALL ON FUNCTION tallymill.drop_month(date, integer) FROM PUBLIC;

RESET ROLE;
