-- The plan's Phase 2 for those who stay there: one of four materialized views with the plan's figures, by UTC day, external events only.
-- They cost a scan of all events at each refresh and are as old as the last one; the tables that the aggregator keeps are neither.
-- Whoever changes this text drops the view in a numbered migration: what is there is left as it is.

SET ROLE tallymill_admin;

CREATE MATERIALIZED VIEW IF NOT EXISTS public.analytics_view_daily AS
  SELECT (created_at AT TIME ZONE 'UTC')::date AS date, event_name, count(*) AS event_count, count(DISTINCT session_id) AS unique_sessions,
         count(DISTINCT user_id) AS unique_users
  FROM public.analytics_events WHERE is_internal = FALSE GROUP BY 1, 2;
CREATE UNIQUE INDEX IF NOT EXISTS analytics_view_daily_key ON public.analytics_view_daily (date, event_name);

GRANT SELECT ON public.analytics_view_daily TO tallymill_read;

RESET ROLE;
