-- Drops the keys of days before p_from. The matrix then says what one computed anew from the keys that are left would say: whoever was seen on one of those days last counts as not
-- seen before, but for users under subjects that are true of every event, who were last seen on day 0001-01-01. Their lists go in the run of that day that has to follow in this transaction
-- (kept_keys). The days' own rows stay: uniques of each single day are right for ever. An earlier p_from has those days of attached months computed again, and that day from what is left.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.keep_uniques_from(p_from date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  old constant date := '0001-01-01';
  is_earlier constant boolean := p_from < (SELECT s.kept_from FROM tallymill.unique_state s);
  whole constant text[] := ARRAY(SELECT s.subject FROM tallymill.unique_subjects s WHERE tallymill.whole_subjects() >> s.bit & 1 = 1);
  before numeric;
BEGIN
  UPDATE tallymill.unique_state SET kept_from = p_from, run = run + 1, stored_run = run + 1;
  IF NOT EXISTS (SELECT FROM tallymill.unique_state s WHERE s.kept_from = p_from) THEN
    PERFORM tallymill.kept_out('tallymill.unique_state', 1, 0);
  END IF;
  IF NOT EXISTS (SELECT FROM tallymill.day_keys k WHERE CASE WHEN is_earlier THEN k.day = old ELSE k.day > old AND k.day < p_from END) THEN
    RETURN;
  END IF;
  SELECT coalesce(sum(u.keys), 0) INTO before FROM public.analytics_daily_uniques u;
  IF is_earlier THEN
    DELETE FROM tallymill.day_keys k WHERE k.day = old;
    UPDATE tallymill.unique_runs r SET is_stored = false, version = NULL WHERE r.day = old;
  ELSE
    DELETE FROM tallymill.day_keys k WHERE k.kind <> 'user' AND k.day > old AND k.day < p_from;
    UPDATE tallymill.unique_runs r SET is_stored = false, version = NULL WHERE r.day > old AND r.day < p_from;
  END IF;
  INSERT INTO public.analytics_daily_uniques AS u (subject, kind, population, date, previous_date, keys)
    SELECT o.subject, o.kind, o.population, o.date, n.previous_date, sum(o.keys) FROM public.analytics_daily_uniques o
    CROSS JOIN LATERAL (SELECT CASE WHEN NOT is_earlier AND o.kind = 'user' AND o.subject = ANY (whole) THEN old ELSE date '-infinity' END AS previous_date) n
    WHERE CASE WHEN is_earlier THEN o.previous_date = old ELSE o.date >= p_from AND o.previous_date > old AND o.previous_date < p_from END
    GROUP BY o.subject, o.kind, o.population, o.date, n.previous_date
    ON CONFLICT (subject, kind, population, date, previous_date) DO UPDATE SET keys = u.keys + excluded.keys;
  DELETE FROM public.analytics_daily_uniques u
    WHERE CASE WHEN is_earlier THEN u.previous_date = old ELSE u.date >= p_from AND u.previous_date > old AND u.previous_date < p_from END;
  IF before <> (SELECT coalesce(sum(u.keys), 0) FROM public.analytics_daily_uniques u) THEN
    PERFORM tallymill.kept_out('public.analytics_daily_uniques', 1, 0);
  END IF;
  IF EXISTS (SELECT FROM tallymill.day_keys k WHERE CASE WHEN is_earlier THEN k.day = old ELSE k.kind <> 'user' AND k.day > old AND k.day < p_from END) THEN
    PERFORM tallymill.kept_out('tallymill.day_keys', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.keep_uniques_from(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.keep_uniques_from(date) TO tallymill_aggregate;

RESET ROLE;
