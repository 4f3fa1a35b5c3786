-- The plan's Phase 2 for those who stay there: one of four materialized views with the plan's figures, by UTC day, external events only.
-- They cost a scan of all events at each refresh and are as old as the last one; the tables that the aggregator keeps are neither.
-- Whoever changes this text drops the view in a numbered migration: what is there is left as it is.

SET ROLE tallymill_admin;

CREATE MATERIALIZED VIEW IF NOT EXISTS public.analytics_view_performance AS
  SELECT (e.created_at AT TIME ZONE 'UTC')::date AS date, m.metric, count(m.value) AS events, round(avg(m.value), 6) AS mean,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY m.value) AS p95
  FROM public.analytics_events e
  CROSS JOIN LATERAL (VALUES ('ttft', tallymill.number(e.event_data #> '{latency,ttft}')),
                             ('tpot', tallymill.number(e.event_data #> '{latency,tpot}')),
                             ('total', tallymill.number(e.event_data #> '{latency,total}')),
                             ('throughput', tallymill.number(e.event_data #> '{throughput,tokens_per_second}'))) AS m (metric, value)
  WHERE e.event_name = 'performance' AND e.is_internal = FALSE AND m.value IS NOT NULL
  GROUP BY 1, 2;
CREATE UNIQUE INDEX IF NOT EXISTS analytics_view_performance_key ON public.analytics_view_performance (date, metric);

GRANT SELECT ON public.analytics_view_performance TO tallymill_read;

RESET ROLE;
