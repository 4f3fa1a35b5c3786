-- The view that is due by the clock (p_unit 'hour' or 'day': none yet in this one, UTC) and waits longest; NULL: none.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.view_due(p_unit text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
  SELECT v.view
  FROM unnest(ARRAY['analytics_view_daily', 'analytics_view_funnel', 'analytics_view_conversion', 'analytics_view_performance']) AS v (view)
  LEFT JOIN LATERAL (SELECT max(r.started_at) AS at FROM tallymill.refreshes r WHERE r.view = v.view) last ON true
  WHERE last.at IS NULL OR last.at < date_trunc(p_unit, now())
  ORDER BY last.at NULLS FIRST, v.view LIMIT 1
$$;

REVOKE ALL ON FUNCTION tallymill.view_due(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.view_due(text) TO tallymill_aggregate;

RESET ROLE;
