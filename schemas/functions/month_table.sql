-- Where a month's rows are: NULL, nowhere.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_table(p_month date) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT m.leaf FROM tallymill.months m WHERE m.month = p_month), to_regclass('public.analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM')));
END
$$;

REVOKE ALL ON FUNCTION tallymill.month_table(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.month_table(date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
