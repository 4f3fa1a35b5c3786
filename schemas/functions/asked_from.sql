-- When the range begins that a session has asked for ('day', 'week' or 'range'). IMMUTABLE for the planner, as asked() says.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.asked_from(p_what text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN pg_catalog.current_setting('tallymill.first_day')::date::timestamp
                     WHEN 'week' THEN pg_catalog.date_trunc('week', pg_catalog.current_setting('tallymill.day')::date::timestamp)
                     ELSE pg_catalog.current_setting('tallymill.day')::date::timestamp END AT TIME ZONE 'UTC';
END
$$;

REVOKE ALL ON FUNCTION tallymill.asked_from(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.asked_from(text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
