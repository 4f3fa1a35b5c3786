-- Figures by (date, event_name). The version of each day that changes goes up with them: its rollups are then out of date. What it wrote it reads again (kept_out says why).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.write_statistics(p_dates date[], p_names text[], p_events bigint[], p_sessions bigint[], p_users bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  changed date[];
  standing bigint;
BEGIN
  WITH written AS (
    INSERT INTO public.analytics_daily_stats AS s (date, event_name, event_count, unique_sessions, unique_users)
    SELECT * FROM unnest(p_dates, p_names, p_events, p_sessions, p_users)
    ON CONFLICT (date, event_name) DO UPDATE
    SET event_count = excluded.event_count, unique_sessions = excluded.unique_sessions, unique_users = excluded.unique_users
    WHERE (s.event_count, s.unique_sessions, s.unique_users) IS DISTINCT FROM
          (excluded.event_count, excluded.unique_sessions, excluded.unique_users)
    RETURNING s.date
  )
  SELECT array_agg(DISTINCT w.date) INTO changed FROM written w;
  SELECT count(*) INTO standing FROM unnest(p_dates, p_names, p_events, p_sessions, p_users) AS w (date, event_name, events, sessions, users)
    JOIN public.analytics_daily_stats s ON s.date = w.date AND s.event_name = w.event_name AND s.event_count = w.events
      AND s.unique_sessions = w.sessions AND s.unique_users = w.users;
  IF standing <> cardinality(p_dates) THEN
    PERFORM tallymill.kept_out('public.analytics_daily_stats', cardinality(p_dates), standing);
  END IF;
  IF changed IS NOT NULL THEN
    PERFORM tallymill.raise_versions(changed);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.write_statistics(date[], text[], bigint[], bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.write_statistics(date[], text[], bigint[], bigint[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
