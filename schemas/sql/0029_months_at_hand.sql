-- What a month costs to make, and to look for those made by hand, however many there are. Runs in psql as it stands, after 0028.

SET ROLE tallymill_admin;

-- The month's table as it was when it was looked at last, while the month is open: as long as the very row of the catalogue is there (bounds, name, owner and rights are in it), there is
-- nothing new to see. A restore brings other numbers: then all are looked at once more.
ALTER TABLE tallymill.months ADD COLUMN noted_leaf oid, ADD COLUMN noted_xmin xid, ADD COLUMN noted_ctid tid;

-- The month whose bounds a table partition has; NULL: none, or not exactly one (UTC).
CREATE FUNCTION tallymill.partition_month(p_leaf oid) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET standard_conforming_strings = on
AS $$
DECLARE
  words constant text[] := (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM [(]''([^'']+)''[)] TO [(]''([^'']+)''[)]$')
                            FROM pg_class c WHERE c.oid = p_leaf);
  first constant timestamp := words[1]::timestamptz AT TIME ZONE 'UTC';
BEGIN
  RETURN CASE WHEN first = date_trunc('month', first) AND words[2]::timestamptz AT TIME ZONE 'UTC' = first + interval '1 month' THEN first::date END;
END
$$;

-- As in 0022.
CREATE OR REPLACE FUNCTION tallymill.table_partitions()
RETURNS TABLE (leaf regclass, owner name, kind "char", month date, bounds text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.oid::regclass, pg_get_userbyid(c.relowner), c.relkind, tallymill.partition_month(c.oid), pg_get_expr(c.relpartbound, c.oid)
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
$$;

-- The tables of months that are not as they were noted; strange: NULL, or the table where it is another one than make_month makes.
CREATE FUNCTION tallymill.changed_months() RETURNS TABLE (month date, strange regclass, leaf oid, seen_xmin xid, seen_ctid tid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT d.month, CASE WHEN tallymill.is_strange(d.oid::regclass, d.month) THEN d.oid::regclass END, d.oid, d.xmin, d.ctid
  FROM (SELECT tallymill.partition_month(c.oid) AS month, c.oid, c.xmin, c.ctid
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
          AND NOT EXISTS (SELECT FROM tallymill.months k WHERE k.noted_leaf = c.oid AND k.noted_xmin = c.xmin AND k.noted_ctid = c.ctid AND k.state IN ('open', 'restored'))
        OFFSET 0) d
  WHERE d.month IS NOT NULL AND NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = d.month AND m.state NOT IN ('open', 'restored'));
END
$$;

-- As in 0022: takes note of months that were made by hand; their names.
CREATE OR REPLACE FUNCTION tallymill.register_months() RETURNS TABLE (month date, leaf text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM tallymill.changed_months()) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  RETURN QUERY
    WITH noted AS (
      INSERT INTO tallymill.months AS m (month, state, leaf, noted_leaf, noted_xmin, noted_ctid)
      SELECT t.month, 'open', t.strange, t.leaf, t.seen_xmin, t.seen_ctid FROM tallymill.changed_months() t
      ON CONFLICT (month) DO UPDATE SET leaf = excluded.leaf, noted_leaf = excluded.noted_leaf, noted_xmin = excluded.noted_xmin, noted_ctid = excluded.noted_ctid
        WHERE m.state IN ('open', 'restored')
      RETURNING m.month, m.leaf
    )
    SELECT n.month, coalesce(n.leaf::text, 'public.analytics_events_' || to_char(n.month, 'YYYY_MM'))
    FROM noted n LEFT JOIN tallymill.months b ON b.month = n.month -- as before this statement
    WHERE b.month IS NULL OR b.leaf IS DISTINCT FROM n.leaf;
END
$$;

-- As in 0022 (make_month, by its name since 0028), and the month is noted as it was made.
CREATE OR REPLACE FUNCTION tallymill.add_month(p_day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' SET default_table_access_method = 'heap' SET default_tablespace = ''
AS $$
DECLARE
  parent constant regclass := 'public.analytics_events';
  first_day date;
  next_month date;
  table_name text;
  held regclass;
  month_state text;
  place text;
  changes text;
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
  IF month_state IN ('open', 'restored') AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = held AND inhparent = parent) THEN
    RETURN false;
  ELSIF month_state IS NOT NULL AND month_state NOT IN ('open', 'restored') THEN
    RAISE EXCEPTION USING ERRCODE = 'TM005',
      MESSAGE = format('month %s is %s', to_char(first_day::timestamp, 'YYYY-MM'), month_state),
      HINT = format('Bring it back with: tallymill restore %s', to_char(first_day::timestamp, 'YYYY-MM'));
  ELSIF EXISTS (SELECT FROM pg_class c WHERE c.oid = held) OR to_regclass(format('public.%I', table_name)) IS NOT NULL THEN
    held := CASE WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = held) THEN held ELSE to_regclass(format('public.%I', table_name)) END;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = held AND inhparent = parent) THEN
      RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table %s has the name of a month and other bounds', held),
        HINT = 'tallymill audit gives the statements that move its rows.';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TM007',
      MESSAGE = format('table %s is there, but is no part of analytics_events', held),
      HINT = format('ALTER TABLE analytics_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L), or rename it.', held, first_day, next_month);
  ELSIF month_state IS NOT NULL THEN
    DELETE FROM tallymill.months m WHERE m.month = first_day; -- somebody dropped the table: its month is made anew
  END IF;

  SELECT coalesce(' USING ' || quote_ident(a.amname), '') || coalesce(' TABLESPACE ' || quote_ident(t.spcname), '') INTO place
    FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.oid = parent;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.analytics_events INCLUDING ALL EXCLUDING IDENTITY,
                    CONSTRAINT %I CHECK (created_at >= %L::timestamptz AND created_at < %L::timestamptz))%s',
                 table_name, table_name || '_month', first_day, next_month, place);
  SELECT string_agg(concat_ws(', ',
           CASE WHEN a.attstattarget >= 0 THEN format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget) END,
           CASE WHEN a.attoptions IS NOT NULL THEN format('ALTER COLUMN %I SET (%s)', a.attname, array_to_string(a.attoptions, ', ')) END), ', ')
    INTO changes
    FROM pg_attribute a
    WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND (a.attstattarget >= 0 OR a.attoptions IS NOT NULL);
  IF changes IS NOT NULL THEN
    EXECUTE format('ALTER TABLE public.%I %s', table_name, changes);
  END IF;
  EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', table_name);
  BEGIN
    EXECUTE format('ALTER TABLE public.analytics_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   table_name, first_day::timestamptz, next_month::timestamptz);
  EXCEPTION WHEN check_violation OR invalid_object_definition THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007',
      MESSAGE = format('month %s cannot be made beside other table partitions: %s', to_char(first_day::timestamp, 'YYYY-MM'), SQLERRM),
      HINT = 'tallymill audit gives the statements that move their rows.';
  END;
  INSERT INTO tallymill.months (month, state, noted_leaf, noted_xmin, noted_ctid)
    SELECT first_day, 'open', c.oid, c.xmin, c.ctid FROM pg_class c WHERE c.oid = to_regclass(format('public.%I', table_name));
  RETURN true;
END
$$;

REVOKE ALL ON FUNCTION tallymill.partition_month(oid), tallymill.changed_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.partition_month(oid) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
