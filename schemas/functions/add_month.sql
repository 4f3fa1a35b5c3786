-- Makes the table partition of the month that holds p_day, and notes the month as it was made; true if this call made it. Asked by make_month alone.
-- CREATE ... LIKE, then ATTACH: PARTITION OF would queue every insert behind one long reader of the parent (5.5 s measured against 4 ms).
-- TM004: no month of ours. TM005: the month was archived, or is about to be; its events are dead letters until it is restored. TM007: a person detached it by hand, or
-- another table partition holds (or would hold) its rows, or somebody's code (an event trigger) refuses the table, with whatever SQLSTATE.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.add_month(p_day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
  parent constant regclass := 'public.analytics_events';
  first_day date;
  next_month date;
  table_name text;
  held regclass;
  month_state text;
  place text;
BEGIN
  IF p_day IS NULL OR p_day < '1970-01-01' OR p_day > (clock_timestamp() AT TIME ZONE 'UTC')::date + 3650 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('no month is made for %s: from 1970-01 to 3650 days ahead', p_day);
  END IF;
  first_day := date_trunc('month', p_day::timestamp)::date;
  next_month := (date_trunc('month', p_day::timestamp) + interval '1 month')::date;
  table_name := 'analytics_events_' || to_char(first_day::timestamp, 'YYYY_MM');
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  PERFORM tallymill.register_months();
  SELECT m.state INTO month_state FROM tallymill.months m WHERE m.month = first_day;
  held := tallymill.month_table(first_day);
  IF month_state IN ('open', 'restored') AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = held AND inhparent = parent AND NOT inhdetachpending) THEN
    RETURN false;
  ELSIF month_state IS NOT NULL AND month_state NOT IN ('open', 'restored') THEN
    RAISE EXCEPTION USING ERRCODE = 'TM005',
      MESSAGE = format('month %s is %s', to_char(first_day::timestamp, 'YYYY-MM'), month_state),
      HINT = format('Bring it back with: tallymill restore %s', to_char(first_day::timestamp, 'YYYY-MM'));
  ELSIF EXISTS (SELECT FROM pg_class c WHERE c.oid = held) OR to_regclass(format('public.%I', table_name)) IS NOT NULL THEN
    held := CASE WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = held) THEN held ELSE to_regclass(format('public.%I', table_name)) END;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = held AND inhparent = parent AND inhdetachpending) THEN -- no row goes into it any more
      RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('the detach of table %s from analytics_events was begun and has not ended', held),
        HINT = format('ALTER TABLE analytics_events DETACH PARTITION %1$s FINALIZE; then ALTER TABLE analytics_events ATTACH PARTITION %1$s FOR VALUES FROM (%2$L) TO (%3$L).',
                      held, first_day, next_month);
    ELSIF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = held AND inhparent = parent) THEN
      RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table %s has the name of a month and other bounds', held),
        HINT = 'tallymill audit gives the statements that move its rows.';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TM007',
      MESSAGE = format('table %s is there, but is no part of analytics_events', held),
      HINT = format('ALTER TABLE analytics_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L), or rename it.', held, first_day, next_month);
  ELSIF month_state IS NOT NULL THEN
    DELETE FROM tallymill.months m WHERE m.month = first_day; -- somebody dropped the table: its month is made anew
  END IF;

  BEGIN
    PERFORM tallymill.make_month_table(first_day, true);
    EXECUTE format('ALTER TABLE public.analytics_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   table_name, first_day::timestamptz, next_month::timestamptz);
    INSERT INTO tallymill.months (month, state, noted_leaf, noted_xmin, noted_ctid)
      SELECT first_day, 'open', c.oid, c.xmin, c.ctid FROM pg_class c WHERE c.oid = to_regclass(format('public.%I', table_name));
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS place = PG_EXCEPTION_CONTEXT;
    SELECT c.line INTO place FROM regexp_split_to_table(place, E'\n') WITH ORDINALITY AS c (line, number) -- somebody's function, the innermost; NULL: none was at work
      WHERE c.line ~ '\(' AND c.line !~ '"|CREATE|ALTER|INSERT|SELECT|GRANT|CONSTRAINT|(make_month|make_month_table|add_month)\(' ORDER BY c.number LIMIT 1;
    IF SQLSTATE ~ '^(08|40|53|55|57|58|TM)' THEN
      RAISE;
    ELSIF place IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'TM007',
        MESSAGE = format('month %s cannot be made: %s (SQLSTATE %s), says %s', to_char(first_day::timestamp, 'YYYY-MM'), SQLERRM, SQLSTATE, place),
        HINT = coalesce('Where that is an event trigger, a superuser runs: ' || (
          SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', e.evtname), ' ' ORDER BY e.evtname) FROM pg_event_trigger e
          WHERE e.evtenabled <> 'D' AND strpos(place, (SELECT p.proname FROM pg_proc p WHERE p.oid = e.evtfoid) || '(') > 0), '');
    ELSIF SQLSTATE IN ('23514', '42P17') THEN -- its rows lie in another, or would
      RAISE EXCEPTION USING ERRCODE = 'TM007',
        MESSAGE = format('month %s cannot be made beside other table partitions: %s', to_char(first_day::timestamp, 'YYYY-MM'), SQLERRM),
        HINT = 'tallymill audit gives the statements that move their rows.';
    END IF;
    RAISE;
  END;
  RETURN true;
END
$$;

REVOKE ALL ON FUNCTION tallymill.add_month(date) FROM PUBLIC;

RESET ROLE;
