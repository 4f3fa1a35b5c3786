-- True, or an error: the plan was made for another range than the one that is asked for now. Costs one call a query.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.is_asked(p_what text, p_planned text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked constant text := CASE p_what WHEN 'range' THEN pg_catalog.concat_ws(' ', pg_catalog.current_setting('tallymill.first_day'), pg_catalog.current_setting('tallymill.last_day'))
                                     ELSE pg_catalog.current_setting('tallymill.day') END;
BEGIN
  IF asked IS DISTINCT FROM p_planned THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = pg_catalog.format('this plan was made for %s, and %s is asked for', p_planned, asked),
      HINT = 'Run the query as a statement of its own, not prepared or in a function without EXECUTE: its days belong to its plan.';
  END IF;
  RETURN true;
END
$$;

REVOKE ALL ON FUNCTION tallymill.is_asked(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.is_asked(text, text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
