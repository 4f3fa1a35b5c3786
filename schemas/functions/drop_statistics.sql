-- Takes away a day's figures of all names but these.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.drop_statistics(p_day date, p_names text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rest bigint;
  gone bigint;
BEGIN
  DELETE FROM public.analytics_daily_stats s WHERE s.date = p_day AND s.event_name <> ALL (p_names);
  GET DIAGNOSTICS gone = ROW_COUNT;
  SELECT count(*) INTO rest FROM public.analytics_daily_stats s WHERE s.date = p_day AND s.event_name <> ALL (p_names);
  IF rest > 0 THEN
    PERFORM tallymill.kept_out('public.analytics_daily_stats', gone + rest, gone);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.drop_statistics(date, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.drop_statistics(date, text[]) TO tallymill_aggregate;

RESET ROLE;
