-- When each of these users was first seen before a moment, what is archived counted too (tallymill.first_seen): what a rollup that looks back asks, as cohorts does.
-- A function, not a part of the rollup's query: planned once in a session, where each query over all months of a long history takes 0.1 ms a month to plan, and not at all where nobody is asked for.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.first_seen_of(p_users bigint[], p_before timestamptz) RETURNS TABLE (user_id bigint, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  IF cardinality(p_users) > 0 THEN
    RETURN QUERY
      SELECT s.user_id, min(s.at)
      FROM (SELECT e.user_id, e.created_at AS at FROM tallymill.settled_events e WHERE e.user_id IN (SELECT unnest(p_users)) AND e.created_at < p_before
            UNION ALL
            SELECT f.user_id, f.first_at FROM tallymill.first_seen f WHERE f.user_id IN (SELECT unnest(p_users))) s
      GROUP BY s.user_id;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.first_seen_of(bigint[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.first_seen_of(bigint[], timestamptz) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
