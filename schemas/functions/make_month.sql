-- Makes the table partition of the month that holds p_day; true if this call made it. Errors as of add_month; TM010: a month that the books do not know is read by nobody.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.make_month(p_day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  is_made constant boolean := tallymill.add_month(p_day);
BEGIN
  IF NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', p_day::timestamp)::date) THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
  RETURN is_made;
END
$$;

REVOKE ALL ON FUNCTION tallymill.make_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.make_month(date) TO tallymill_ingest, tallymill_aggregate;

RESET ROLE;
