-- When the range ends (exclusive) that a session has asked for ('day', 'week' or 'range'). IMMUTABLE for the planner, as asked() says.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.asked_to(p_what text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN (pg_catalog.current_setting('tallymill.last_day')::date + 1)::timestamp
                     WHEN 'week' THEN pg_catalog.date_trunc('week', pg_catalog.current_setting('tallymill.day')::date::timestamp) + interval '7 days'
                     ELSE (pg_catalog.current_setting('tallymill.day')::date + 1)::timestamp END AT TIME ZONE 'UTC';
END
$$;

REVOKE ALL ON FUNCTION tallymill.asked_to(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.asked_to(text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
