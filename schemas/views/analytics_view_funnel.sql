-- The plan's Phase 2 for those who stay there: one of four materialized views with the plan's figures, by UTC day, external events only.
-- They cost a scan of all events at each refresh and are as old as the last one; the tables that the aggregator keeps are neither.
-- Whoever changes this text drops the view in a numbered migration: what is there is left as it is.

SET ROLE tallymill_admin;

CREATE MATERIALIZED VIEW IF NOT EXISTS public.analytics_view_funnel AS
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
CREATE UNIQUE INDEX IF NOT EXISTS analytics_view_funnel_key ON public.analytics_view_funnel (date, step);

GRANT SELECT ON public.analytics_view_funnel TO tallymill_read;

RESET ROLE;
