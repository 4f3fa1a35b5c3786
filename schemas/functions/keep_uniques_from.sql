-- Drops the keys of days before p_from. The matrix then says what one computed anew from the keys that are left would say: whoever was seen on one of those days last counts as not
-- seen before. Their own rows stay: uniques of each single day are right for ever. An earlier p_from has those days of attached months computed again.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.keep_uniques_from(p_from date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before numeric;
BEGIN
  UPDATE tallymill.unique_state SET kept_from = p_from, run = run + 1, stored_run = run + 1;
  IF NOT EXISTS (SELECT FROM tallymill.unique_state s WHERE s.kept_from = p_from) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
  IF NOT EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day < p_from) THEN
    RETURN;
  END IF;
  SELECT coalesce(sum(u.keys), 0) INTO before FROM public.analytics_daily_uniques u WHERE u.date >= p_from;
  DELETE FROM tallymill.day_keys k WHERE k.day < p_from;
  UPDATE tallymill.unique_runs r SET is_stored = false, version = NULL WHERE r.day < p_from;
  INSERT INTO public.analytics_daily_uniques AS u (subject, kind, population, date, previous_date, keys)
    SELECT o.subject, o.kind, o.population, o.date, '-infinity', sum(o.keys) FROM public.analytics_daily_uniques o
    WHERE o.date >= p_from AND o.previous_date < p_from AND o.previous_date > '-infinity'
    GROUP BY o.subject, o.kind, o.population, o.date
    ON CONFLICT (subject, kind, population, date, previous_date) DO UPDATE SET keys = u.keys + excluded.keys;
  DELETE FROM public.analytics_daily_uniques u WHERE u.date >= p_from AND u.previous_date < p_from AND u.previous_date > '-infinity';
  IF before <> (SELECT coalesce(sum(u.keys), 0) FROM public.analytics_daily_uniques u WHERE u.date >= p_from) THEN
    PERFORM tallymill.kept_out('public.analytics_daily_uniques', 1, 0);
  END IF;
  IF EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day < p_from) THEN
    PERFORM tallymill.kept_out('tallymill.day_keys', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.keep_uniques_from(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.keep_uniques_from(date) TO tallymill_aggregate;

RESET ROLE;
