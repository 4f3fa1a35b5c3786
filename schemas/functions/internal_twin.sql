-- A rollup's twin: the same query over internal events, into analytics_internal_daily_NAME (analytics_internal_weekly_NAME). The views are replaced by name, so that the planner sees a
-- plain condition and takes the small index of internal events: a view with a condition on a setting would read the whole day.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.internal_twin(p_rule tallymill.rollups) RETURNS tallymill.rollups
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  p_rule.target := 'analytics_internal_' || substr(p_rule.target, 11); -- behind "analytics_"
  p_rule.query := regexp_replace(p_rule.query, '\mtallymill\.first_seen(_of)?\M', 'tallymill.first_seen_internal\1', 'gi');
  p_rule.query := regexp_replace(regexp_replace(p_rule.query, '\mtallymill\.(day|week|range)_events\M', 'tallymill.internal_\1_events', 'gi'),
                                 '\mtallymill\.settled_events\M', 'tallymill.settled_internal_events', 'gi');
  RETURN p_rule;
END
$$;

REVOKE ALL ON FUNCTION tallymill.internal_twin(tallymill.rollups) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.internal_twin(tallymill.rollups) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
