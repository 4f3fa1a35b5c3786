-- Raises TM004 where a row of analytics_daily_uniques is below zero: before whoever has changed it commits.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.check_uniques() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wrong record;
BEGIN
  SELECT * INTO wrong FROM public.analytics_daily_uniques u WHERE u.keys < 0 ORDER BY u.date LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004',
      MESSAGE = format('analytics_daily_uniques would have %s keys of %s (%s, %s) on %s last seen on %s', wrong.keys, wrong.subject, wrong.kind, wrong.population, wrong.date,
                       wrong.previous_date),
      HINT = 'Somebody changed the table or tallymill.day_keys. To count all days of attached months anew: SELECT tallymill.forget_uniques()';
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.check_uniques() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.check_uniques() TO tallymill_aggregate;

RESET ROLE;
