-- Which range a session has asked for: 'day' and 'week' by SET tallymill.day, 'range' by SET tallymill.first_day and tallymill.last_day.
-- IMMUTABLE is not true of a setting; it has the planner ask when it makes a plan, and so look at no month but those of the range (with a
-- value known only when the plan runs it looked at every month: 20 to 430 ms at 257 of them). A plan that is kept over a SET is caught by is_asked().

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.asked(p_what text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN pg_catalog.concat_ws(' ', pg_catalog.current_setting('tallymill.first_day'), pg_catalog.current_setting('tallymill.last_day'))
                     ELSE pg_catalog.current_setting('tallymill.day') END;
END
$$;

REVOKE ALL ON FUNCTION tallymill.asked(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.asked(text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
