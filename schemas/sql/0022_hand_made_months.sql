-- Months that somebody made by hand, and parents that somebody changed. Runs in psql as it stands, after 0021.

SET ROLE tallymill_admin;

-- The table partition of a month that was made by hand, whatever its name and owner; NULL: ours, found by its name. Such a one is read by way of the parent, since its owner
-- may have granted nobody to read it.
ALTER TABLE tallymill.months ADD COLUMN leaf regclass;

-- The table partitions of analytics_events, by the catalogue of now. month: NULL, its bounds are not exactly those of one month (UTC); DEFAULT has none.
CREATE FUNCTION tallymill.table_partitions()
RETURNS TABLE (leaf regclass, owner name, kind "char", month date, bounds text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET standard_conforming_strings = on
AS $$
  SELECT c.oid::regclass, pg_get_userbyid(c.relowner), c.relkind,
         CASE WHEN f.first = date_trunc('month', f.first) AND f.last = f.first + interval '1 month' THEN f.first::date END, b.bounds
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) b
  CROSS JOIN LATERAL (SELECT regexp_match(b.bounds, '^FOR VALUES FROM [(]''([^'']+)''[)] TO [(]''([^'']+)''[)]$') AS words) w
  CROSS JOIN LATERAL (SELECT w.words[1]::timestamptz AT TIME ZONE 'UTC' AS first, w.words[2]::timestamptz AT TIME ZONE 'UTC' AS last) f
  WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
$$;

-- Takes note of months that were made by hand; their names.
CREATE FUNCTION tallymill.register_months() RETURNS TABLE (month date, leaf text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (
    SELECT FROM tallymill.table_partitions() t LEFT JOIN tallymill.months m ON m.month = t.month
    WHERE t.month IS NOT NULL AND (m.month IS NULL OR (m.state IN ('open', 'restored') AND m.leaf IS DISTINCT FROM t.leaf
                                                       AND (m.leaf IS NOT NULL OR tallymill.is_strange(t.leaf, t.month))))) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  RETURN QUERY
    INSERT INTO tallymill.months AS m (month, state, leaf)
    SELECT t.month, 'open', CASE WHEN tallymill.is_strange(t.leaf, t.month) THEN t.leaf END FROM tallymill.table_partitions() t WHERE t.month IS NOT NULL
    ON CONFLICT (month) DO UPDATE SET leaf = excluded.leaf
      WHERE m.state IN ('open', 'restored') AND m.leaf IS DISTINCT FROM excluded.leaf
    RETURNING m.month, coalesce(m.leaf::text, 'public.analytics_events_' || to_char(m.month, 'YYYY_MM'));
END
$$;

-- Whether a month's table is another one than make_month makes.
CREATE FUNCTION tallymill.is_strange(p_leaf regclass, p_month date) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM pg_class c
    WHERE c.oid = p_leaf AND c.relnamespace = 'public'::regnamespace AND c.relname = 'analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM')
      AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) = 'tallymill_admin' AND has_table_privilege('tallymill_read', c.oid, 'SELECT'));
END
$$;

-- Where a month's rows are: NULL, nowhere.
CREATE FUNCTION tallymill.month_table(p_month date) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT m.leaf FROM tallymill.months m WHERE m.month = p_month), to_regclass('public.analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM')));
END
$$;

-- Its pages; NULL: it has none of its own.
CREATE FUNCTION tallymill.month_pages(p_month date) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT pg_relation_size(c.oid) / current_setting('block_size')::integer FROM pg_class c
          WHERE c.oid = tallymill.month_table(p_month) AND c.relkind = 'r');
END
$$;

-- As in 0018, and the months of others. The names of ours are compared as before.
CREATE OR REPLACE VIEW tallymill.attached_months AS
  SELECT m.month FROM tallymill.months m
  WHERE m.state IN ('open', 'restored')
    AND EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
                  AND (c.oid = m.leaf OR (m.leaf IS NULL AND c.relnamespace = 'public'::regnamespace
                                          AND c.relname = 'analytics_events_' || to_char(m.month, 'YYYY_MM'))));

-- Makes the table partition of the month that holds p_day; true if this call made it.
-- CREATE ... LIKE, then ATTACH: PARTITION OF would queue every insert behind one long reader of the parent (5.5 s measured against 4 ms).
-- The table follows the parent, whatever was done to that: columns, defaults, constraints, indexes, storage, statistics, access method, tablespace. Identities are left out: ATTACH
-- gives them from 17 on (and refuses others), and before only the parent's counts.
-- TM004: no month of ours. TM005: the month was archived, or is about to be; its events are dead letters until it is restored. TM007: a person detached it by hand, or
-- another table partition holds (or would hold) its rows.
CREATE OR REPLACE FUNCTION tallymill.make_month(p_day date) RETURNS boolean
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
  INSERT INTO tallymill.months (month, state) VALUES (first_day, 'open');
  RETURN true;
END
$$;

-- As in 0005. An index that is another owner's is left as it is.
CREATE OR REPLACE FUNCTION tallymill.summarize_tail(p_month date, p_page bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms'
AS $$
DECLARE
  held constant regclass := tallymill.month_table(p_month);
  pages bigint := tallymill.month_pages(p_month);
  pages_per_range constant bigint := 32; -- as in 0001
  batch_index regclass;
BEGIN
  SELECT i.indexrelid INTO batch_index
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE i.indrelid = held AND a.amname = 'brin' AND c.relkind = 'i' AND pg_has_role(c.relowner, 'USAGE')
  LIMIT 1;
  IF batch_index IS NULL THEN
    RETURN NULL;
  ELSIF p_page IS NULL OR p_page > pages THEN
    PERFORM brin_summarize_new_values(batch_index);
  ELSE
    FOR page IN (p_page - p_page % pages_per_range) .. (pages - 1) BY pages_per_range LOOP
      PERFORM brin_summarize_range(batch_index, page);
    END LOOP;
  END IF;
  RETURN pages;
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END
$$;

-- As in 0018, by the tables of the months.
CREATE OR REPLACE FUNCTION tallymill.look_for_work(p_close_after interval)
RETURNS TABLE (has_batches boolean, has_days boolean, months integer[], pages bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  WITH named AS MATERIALIZED (
    SELECT date_trunc('month', d.day::timestamp)::date AS month
    FROM tallymill.unfolded u LEFT JOIN LATERAL unnest(u.days) AS d (day) ON true
    GROUP BY 1
  )
  SELECT EXISTS (SELECT FROM named)
           OR EXISTS (SELECT FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset),
         EXISTS (SELECT FROM tallymill.days d
                 JOIN tallymill.attached_months m ON m.month = date_trunc('month', d.day::timestamp)::date
                 WHERE d.dirty_since IS NOT NULL
                    OR (d.closed_at IS NULL AND d.day < ((clock_timestamp() - p_close_after) AT TIME ZONE 'UTC')::date)),
         coalesce((SELECT array_agg(n.month - date '1970-01-01' ORDER BY n.month) FROM named n WHERE n.month IS NOT NULL), '{}'),
         coalesce((SELECT array_agg(coalesce(tallymill.month_pages(n.month), -1) ORDER BY n.month) FROM named n WHERE n.month IS NOT NULL), '{}');
END
$$;

-- As in 0018. Of kind 1, an attached month, stored says that it is to be read by way of the parent (1).
CREATE OR REPLACE FUNCTION tallymill.begin_cycle(p_epoch bigint, p_close_after interval, p_limit bigint, p_months date[])
RETURNS TABLE (kind integer, number integer, batch_id bigint, last_batch_id bigint, first_offset bigint, next_offset bigint, stored bigint,
               days date[], reason text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  held bigint;
BEGIN
  PERFORM set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true),
          set_config('idle_in_transaction_session_timeout', '60s', true), set_config('client_connection_check_interval', '1s', true),
          set_config('timezone', 'UTC', true), set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true);
  SELECT l.epoch INTO held FROM tallymill.leader l WHERE pg_try_advisory_xact_lock(1952541804, 1) FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  kind := 0;
  batch_id := held;
  next_offset := extract(epoch FROM clock_timestamp()) * 1000000;
  RETURN NEXT;
  IF held <> p_epoch THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT 1, a.month - date '1970-01-01', NULL::bigint, NULL::bigint, NULL::bigint,
      CASE WHEN a.month = ANY (p_months) THEN tallymill.month_pages(a.month) END,
      (SELECT 1::bigint FROM tallymill.months m WHERE m.month = a.month AND m.leaf IS NOT NULL), NULL::date[], NULL::text
    FROM tallymill.attached_months a;
  RETURN QUERY SELECT 2, d.day - date '1970-01-01', NULL::bigint, NULL::bigint, NULL::bigint,
      (extract(epoch FROM d.dirty_since) * 1000000)::bigint, NULL::bigint, NULL::date[], d.dirty_reason
    FROM tallymill.days d
    WHERE d.dirty_since IS NOT NULL
       OR (d.closed_at IS NULL AND d.day < ((clock_timestamp() - p_close_after) AT TIME ZONE 'UTC')::date);
  RETURN QUERY SELECT 3, p.place, NULL::bigint, NULL::bigint, NULL::bigint, p.next_offset, NULL::bigint, NULL::date[], NULL::text
    FROM tallymill.places p ORDER BY p.place;
  RETURN QUERY SELECT 4, u.place, u.batch_id, u.last_batch_id, u.first_offset, u.next_offset, u.stored, u.days, NULL::text
    FROM tallymill.unfolded u LIMIT p_limit;
  RETURN QUERY SELECT 5, p.place, NULL::bigint, NULL::bigint, g.first_offset, g.next_offset, NULL::bigint, NULL::date[], NULL::text
    FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset;
END
$$;

-- As in 0017, by the tables of the months.
CREATE OR REPLACE FUNCTION tallymill.run_rollup(p_rollup text, p_day date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  r tallymill.rollups;
  keys text[];
  changed bigint;
  events constant regclass := 'public.analytics_events';
  away text;
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  PERFORM set_config('tallymill.day', p_day::text, true);
  EXECUTE format($q$
    WITH fresh AS MATERIALIZED (
      SELECT %1$L::date AS %2$I, q.* FROM (
%3$s
      ) AS q
    ), gone AS (
      DELETE FROM public.%4$I h WHERE h.%2$I = %1$L::date AND NOT EXISTS (SELECT FROM fresh f WHERE (%5$s) = (%6$s)) RETURNING 1
    ), written AS (
      INSERT INTO public.%4$I AS h (%7$s, %8$s) SELECT %7$s, %8$s FROM fresh
      ON CONFLICT (%7$s) DO UPDATE SET (%8$s) = ROW (%9$s) WHERE (%10$s) IS DISTINCT FROM (%9$s) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written)$q$,
    p_day, r.period_column, r.query, r.target, tallymill.column_list(keys, 'f.'), tallymill.column_list(keys, 'h.'),
    tallymill.column_list(keys), tallymill.column_list(r.value_columns), tallymill.column_list(r.value_columns, 'excluded.'),
    tallymill.column_list(r.value_columns, 'h.')) INTO changed;
  SELECT c.relname INTO away FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = events AND NOT i.inhdetachpending AND pg_partition_root(c.oid) IS DISTINCT FROM pg_partition_root(events)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = format('table %s left analytics_events meanwhile', away);
  END IF;
  SELECT to_char(m.month, 'YYYY_MM') INTO away FROM tallymill.months m
    WHERE m.state IN ('open', 'restored') AND m.month < p_day + r.period_days AND (r.looks_back OR m.month >= date_trunc('month', p_day::timestamp))
      AND pg_partition_root(tallymill.month_table(m.month)) IS DISTINCT FROM pg_partition_root(events)
    ORDER BY m.month LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table analytics_events_%s is no part of analytics_events, and its month is not archived: ATTACH it again', away);
  END IF;
  RETURN changed;
END
$$;

-- What is wrong with the table partitions: 'DAMAGE' where rows are stored that no month counts, with the statements that mend it; 'note' where a right or an index is missing.
CREATE FUNCTION tallymill.month_troubles() RETURNS TABLE (is_damage boolean, trouble text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT true, format('table %1$s (%2$s) is no month of analytics_events: rows in it are counted nowhere. These statements, as tallymill_admin or a superuser, move them: '
           'BEGIN; ALTER TABLE public.analytics_events DETACH PARTITION %1$s; '
           'SELECT tallymill.make_month(m) FROM (SELECT DISTINCT date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date FROM %1$s) AS months (m); '
           'INSERT INTO public.analytics_events (%3$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM %1$s; DROP TABLE %1$s; COMMIT;', t.leaf, t.bounds,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''))
  FROM tallymill.table_partitions() t WHERE t.month IS NULL
  UNION ALL
  SELECT false, format('table %1$s of owner %2$s is counted, but tallymill_read may not read it by its own name: GRANT SELECT ON %1$s TO tallymill_read;', t.leaf, t.owner)
  FROM tallymill.table_partitions() t WHERE t.month IS NOT NULL AND NOT has_table_privilege('tallymill_read', t.leaf, 'SELECT')
  UNION ALL
  SELECT false, format('table %s has no index like %s: %s;', t.leaf, p.indexrelid::regclass,
           regexp_replace(pg_get_indexdef(p.indexrelid), ' INDEX .* ON (ONLY )?[^ ]+ USING ', format(' INDEX ON %s USING ', t.leaf)))
  FROM tallymill.table_partitions() t
  JOIN pg_index p ON p.indrelid = 'public.analytics_events'::regclass AND NOT p.indisprimary
  WHERE t.month IS NOT NULL AND t.kind = 'r' AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid AND i.inhparent = p.indexrelid WHERE x.indrelid = t.leaf AND x.indisvalid)
$$;

REVOKE ALL ON FUNCTION tallymill.table_partitions(), tallymill.register_months(), tallymill.is_strange(regclass, date), tallymill.month_table(date),
  tallymill.month_pages(date), tallymill.month_troubles() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.table_partitions(), tallymill.month_table(date), tallymill.month_pages(date), tallymill.month_troubles()
  TO tallymill_aggregate, tallymill_read;
GRANT EXECUTE ON FUNCTION tallymill.register_months() TO tallymill_aggregate;

RESET ROLE;
