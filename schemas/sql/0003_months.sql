-- Making a month. Runs in psql as it stands, after 0002.

SET ROLE tallymill_admin;

-- Makes the table partition of the month that holds p_day; true if this call made it.
-- CREATE ... LIKE, then ATTACH: PARTITION OF would queue every insert behind one long reader of the parent (5.5 s measured against 4 ms).
-- TM005: the month was archived, or is about to be; its events are dead letters until it is restored. TM007: a person detached it by hand.
CREATE FUNCTION tallymill.make_month(p_day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
  first_day date := date_trunc('month', p_day)::date;
  next_month date := (date_trunc('month', p_day) + interval '1 month')::date;
  table_name text := 'analytics_events_' || to_char(first_day, 'YYYY_MM');
  leaf regclass;
  month_state text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  SELECT state INTO month_state FROM tallymill.months WHERE month = first_day;
  leaf := to_regclass(format('public.%I', table_name));
  IF month_state IN ('open', 'restored') AND EXISTS (SELECT FROM pg_inherits
       WHERE inhrelid = leaf AND inhparent = 'public.analytics_events'::regclass) THEN
    RETURN false;
  ELSIF leaf IS NOT NULL AND (month_state IS NULL OR month_state IN ('open', 'restored')) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007',
      MESSAGE = format('table %s is there, but is no part of analytics_events', table_name),
      HINT = format('ALTER TABLE analytics_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L), or rename it.',
                    table_name, first_day, next_month);
  ELSIF month_state IN ('open', 'restored') THEN
    DELETE FROM tallymill.months WHERE month = first_day; -- somebody dropped the table: its month is made anew
  ELSIF month_state IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM005',
      MESSAGE = format('month %s is %s', to_char(first_day, 'YYYY-MM'), month_state),
      HINT = format('Bring it back with: tallymill restore %s', to_char(first_day, 'YYYY-MM'));
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.analytics_events INCLUDING ALL,
                    CONSTRAINT %I CHECK (created_at >= %L::timestamptz AND created_at < %L::timestamptz))',
                 table_name, table_name || '_month', first_day, next_month);
  EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', table_name);
  EXECUTE format('ALTER TABLE public.analytics_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                 table_name, first_day::timestamptz, next_month::timestamptz);
  INSERT INTO tallymill.months (month, state) VALUES (first_day, 'open');
  RETURN true;
END
$$;

REVOKE ALL ON FUNCTION tallymill.make_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.make_month(date) TO tallymill_ingest, tallymill_aggregate;

RESET ROLE;
