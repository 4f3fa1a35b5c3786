-- A month that was about to leave stays: its table is part of analytics_events again, and its state is what it was. While the detach is pending: TM006, for Postgres must end it first.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.attach_month(p_month date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  leaf regclass;
  is_pending boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  leaf := tallymill.month_table(p_month);
  SELECT i.inhdetachpending INTO is_pending FROM pg_inherits i WHERE i.inhrelid = leaf AND i.inhparent = 'public.analytics_events'::regclass;
  IF is_pending OR leaf IS NULL OR NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = p_month AND m.state = 'detaching') THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('month %s is not about to leave, or its detach is pending', to_char(p_month::timestamp, 'YYYY-MM'));
  ELSIF is_pending IS NULL THEN
    EXECUTE format('ALTER TABLE public.analytics_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', leaf, p_month::timestamptz,
                   (p_month + interval '1 month')::date::timestamptz);
  END IF;
  UPDATE tallymill.months m SET changed_at = clock_timestamp(),
      state = CASE WHEN EXISTS (SELECT FROM tallymill.archives a WHERE a.month = p_month AND a.restored_at IS NOT NULL) THEN 'restored' ELSE 'open' END
    WHERE m.month = p_month;
  IF NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = p_month AND m.state IN ('open', 'restored')) THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.attach_month(date) FROM PUBLIC;

RESET ROLE;
