-- refresh_view for whoever comes back at any rate: a failure is noted (and its time, so that the view's turn is over) and returned.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.try_refresh_view(p_view text, OUT took_us bigint, OUT error text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  started constant timestamptz := clock_timestamp();
BEGIN
  took_us := tallymill.refresh_view(p_view);
EXCEPTION WHEN OTHERS THEN
  error := SQLSTATE || ' ' || SQLERRM;
  took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
  INSERT INTO tallymill.refreshes (view, started_at, took_us, error) VALUES (p_view, started, try_refresh_view.took_us, try_refresh_view.error);
END
$$;

REVOKE ALL ON FUNCTION tallymill.try_refresh_view(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.try_refresh_view(text) TO tallymill_aggregate;

RESET ROLE;
