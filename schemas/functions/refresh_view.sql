-- Refreshes one of the four materialized views beside its readers and notes the time that it took, in us.
-- Only their owner may refresh them, hence SECURITY DEFINER. Kept: the last 100 days of notes.
-- A view that holds nothing yet (WITH NO DATA, as a restore may leave it) is filled, which keeps its readers waiting and CONCURRENTLY cannot.
-- TM004: none of ours, or it is not there.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.refresh_view(p_view text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET lock_timeout = '60s'
AS $$
DECLARE
  started constant timestamptz := clock_timestamp();
  us bigint;
  is_filled boolean;
BEGIN
  IF p_view <> ALL (ARRAY['analytics_view_daily', 'analytics_view_funnel', 'analytics_view_conversion', 'analytics_view_performance']) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('%s is none of the views that Tallymill refreshes', p_view);
  END IF;
  SELECT c.relispopulated INTO is_filled FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = p_view AND c.relkind = 'm';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the materialized view public.%s is not there: somebody dropped it', p_view),
      HINT = format('Its definition is in schemas/views/%s.sql. The tables that the aggregator keeps have the same figures.', p_view);
  END IF;
  EXECUTE format('REFRESH MATERIALIZED VIEW %s public.%I', CASE WHEN is_filled THEN 'CONCURRENTLY' ELSE '' END, p_view);
  us := extract(epoch FROM clock_timestamp() - started) * 1000000;
  INSERT INTO tallymill.refreshes (view, started_at, took_us) VALUES (p_view, started, us);
  DELETE FROM tallymill.refreshes WHERE started_at < started - interval '100 days';
  RETURN us;
END
$$;

REVOKE ALL ON FUNCTION tallymill.refresh_view(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.refresh_view(text) TO tallymill_aggregate;

RESET ROLE;
