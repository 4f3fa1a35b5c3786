-- The plan's Phase 2 for those who stay there: four materialized views with the plan's figures, by UTC day, external events only.
-- They cost a scan of all events at each refresh and are as old as the last one; the tables that the aggregator keeps are neither.
-- Runs in psql as it stands, after 0007.

SET ROLE tallymill_admin;

CREATE MATERIALIZED VIEW public.analytics_view_daily AS
  SELECT (created_at AT TIME ZONE 'UTC')::date AS date, event_name, count(*) AS event_count, count(DISTINCT session_id) AS unique_sessions,
         count(DISTINCT user_id) AS unique_users
  FROM public.analytics_events WHERE is_internal = FALSE GROUP BY 1, 2;
CREATE UNIQUE INDEX analytics_view_daily_key ON public.analytics_view_daily (date, event_name);

CREATE MATERIALIZED VIEW public.analytics_view_funnel AS
  SELECT d.date, s.step, s.stage, s.sessions
  FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS date,
               count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS session_start,
               count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input') AS code_input,
               count(DISTINCT session_id) FILTER (WHERE event_name IN ('generation_started', 'doc_generation')) AS generation_started,
               count(DISTINCT session_id) FILTER (WHERE event_name = 'generation_completed'
                 OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')) AS generation_completed,
               count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') AS doc_export
        FROM public.analytics_events WHERE is_internal = FALSE GROUP BY 1) d
  CROSS JOIN LATERAL (VALUES (1, 'session_start', session_start), (2, 'code_input', code_input), (3, 'generation_started', generation_started),
                             (4, 'generation_completed', generation_completed), (5, 'doc_export', doc_export)) AS s (step, stage, sessions);
CREATE UNIQUE INDEX analytics_view_funnel_key ON public.analytics_view_funnel (date, step);

CREATE MATERIALIZED VIEW public.analytics_view_conversion AS
  SELECT d.*, round(signups / nullif(sessions, 0)::numeric, 6) AS signup_rate,
         round(trials_converted / nullif(trials_started, 0)::numeric, 6) AS trial_conversion_rate,
         round(checkouts / nullif(checkouts_started, 0)::numeric, 6) AS checkout_rate
  FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS date,
               count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS sessions,
               count(*) FILTER (WHERE event_name = 'signup') AS signups,
               count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'started') AS trials_started,
               count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'converted') AS trials_converted,
               count(*) FILTER (WHERE event_name = 'user_interaction' AND event_data ->> 'action' = 'checkout_started') AS checkouts_started,
               count(*) FILTER (WHERE event_name = 'checkout_completed') AS checkouts
        FROM public.analytics_events WHERE is_internal = FALSE GROUP BY 1) d;
CREATE UNIQUE INDEX analytics_view_conversion_key ON public.analytics_view_conversion (date);

CREATE MATERIALIZED VIEW public.analytics_view_performance AS
  SELECT (e.created_at AT TIME ZONE 'UTC')::date AS date, m.metric, count(m.value) AS events, round(avg(m.value), 6) AS mean,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY m.value) AS p95
  FROM public.analytics_events e
  CROSS JOIN LATERAL (VALUES ('ttft', tallymill.number(e.event_data #> '{latency,ttft}')),
                             ('tpot', tallymill.number(e.event_data #> '{latency,tpot}')),
                             ('total', tallymill.number(e.event_data #> '{latency,total}')),
                             ('throughput', tallymill.number(e.event_data #> '{throughput,tokens_per_second}'))) AS m (metric, value)
  WHERE e.event_name = 'performance' AND e.is_internal = FALSE AND m.value IS NOT NULL
  GROUP BY 1, 2;
CREATE UNIQUE INDEX analytics_view_performance_key ON public.analytics_view_performance (date, metric);

GRANT SELECT ON public.analytics_view_daily, public.analytics_view_funnel, public.analytics_view_conversion, public.analytics_view_performance
  TO tallymill_read;

-- How long each refresh took: more than five minutes is the plan's sign to leave Phase 2.
CREATE TABLE tallymill.refreshes (
  view       text NOT NULL,
  started_at timestamptz NOT NULL,
  took_us    bigint NOT NULL,
  PRIMARY KEY (view, started_at)
);
GRANT SELECT ON tallymill.refreshes TO tallymill_aggregate, tallymill_read;

-- Refreshes one of the four views beside its readers and notes the time that it took, in us.
-- Only their owner may refresh them, hence SECURITY DEFINER. Kept: the last 100 days of notes.
CREATE FUNCTION tallymill.refresh_view(p_view text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  started constant timestamptz := clock_timestamp();
  us bigint;
BEGIN
  IF p_view <> ALL (ARRAY['analytics_view_daily', 'analytics_view_funnel', 'analytics_view_conversion', 'analytics_view_performance']) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('%s is none of the views that Tallymill refreshes', p_view);
  END IF;
  EXECUTE format('REFRESH MATERIALIZED VIEW CONCURRENTLY public.%I', p_view);
  us := extract(epoch FROM clock_timestamp() - started) * 1000000;
  INSERT INTO tallymill.refreshes (view, started_at, took_us) VALUES (p_view, started, us);
  DELETE FROM tallymill.refreshes WHERE started_at < started - interval '100 days';
  RETURN us;
END
$$;

-- The view that is due by the clock (p_unit 'hour' or 'day': none yet in this one, UTC) and waits longest; NULL: none.
CREATE FUNCTION tallymill.view_due(p_unit text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
  SELECT v.view
  FROM unnest(ARRAY['analytics_view_daily', 'analytics_view_funnel', 'analytics_view_conversion', 'analytics_view_performance']) AS v (view)
  LEFT JOIN LATERAL (SELECT max(r.started_at) AS at FROM tallymill.refreshes r WHERE r.view = v.view) last ON true
  WHERE last.at IS NULL OR last.at < date_trunc(p_unit, now())
  ORDER BY last.at NULLS FIRST, v.view LIMIT 1
$$;

REVOKE ALL ON FUNCTION tallymill.refresh_view(text), tallymill.view_due(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.refresh_view(text), tallymill.view_due(text) TO tallymill_aggregate;

RESET ROLE;
