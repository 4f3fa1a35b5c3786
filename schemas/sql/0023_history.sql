-- Days of a long history, and rollups behind a live ledger: what is asked for one day or one month costs what that day or month holds, however many
-- months and ledger rows there are. Runs in psql as it stands, after 0022.

SET ROLE tallymill_admin;

-- 1. What is not folded yet.

-- Ids of the batches beyond `folded`. A function, not a view: its plan goes by index whatever the statistics say of the ledger, and whoever joins
-- with it is told so many rows and hashes them. (The planner takes the view for one row, and reads it once for each event: 185,000 ledger rows made
-- a rollup of today run for minutes.)
CREATE FUNCTION tallymill.unfolded_batches() RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
BEGIN
  RETURN QUERY SELECT u.batch_id FROM tallymill.unfolded u;
END
$$;

-- The lowest of them, or the greatest bigint: whatever is below it is folded, which is all that the rows of a history need to be asked.
CREATE FUNCTION tallymill.unfolded_from() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT coalesce(min(b.id), 9223372036854775807) FROM tallymill.unfolded_batches() AS b (id));
END
$$;

REVOKE ALL ON FUNCTION tallymill.unfolded_batches(), tallymill.unfolded_from() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unfolded_batches(), tallymill.unfolded_from() TO tallymill_aggregate, tallymill_read;

-- Asked every second while nothing comes: by index, too.
ALTER FUNCTION tallymill.look_for_work(interval) SET enable_seqscan = off;
-- The days that a cycle asks for, among all that there ever were.
CREATE INDEX days_not_settled ON tallymill.days (day) WHERE closed_at IS NULL OR dirty_since IS NOT NULL;

-- Hourly: deltas that nobody will ask for any more, because an aggregator of an older release folded their batches. A table that has grown to its limit is
-- emptied whole, whatever it holds, or it would stay so until vacuum can cut it; the batches that still wait are then read from their rows.
CREATE OR REPLACE FUNCTION tallymill.drop_folded_deltas() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_table_size('tallymill.deltas') >= 268435456 THEN
    TRUNCATE tallymill.deltas;
  ELSE
    DELETE FROM tallymill.deltas d WHERE d.batch_id NOT IN (SELECT tallymill.unfolded_batches());
  END IF;
END
$$;

-- 2. Days as constants.

-- The range that a session has asked for: 'day' and 'week' by SET tallymill.day, 'range' by SET tallymill.first_day and tallymill.last_day.
-- IMMUTABLE is not true of a setting; it has the planner ask when it makes a plan, and so look at no month but those of the range (with a
-- value known only when the plan runs it looked at every month: 20 to 430 ms at 257 of them). A plan that is kept over a SET is caught by is_asked().
CREATE FUNCTION tallymill.asked(p_what text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN pg_catalog.concat_ws(' ', pg_catalog.current_setting('tallymill.first_day'), pg_catalog.current_setting('tallymill.last_day'))
                     ELSE pg_catalog.current_setting('tallymill.day') END;
END
$$;

CREATE FUNCTION tallymill.asked_from(p_what text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN pg_catalog.current_setting('tallymill.first_day')::date::timestamp
                     WHEN 'week' THEN pg_catalog.date_trunc('week', pg_catalog.current_setting('tallymill.day')::date::timestamp)
                     ELSE pg_catalog.current_setting('tallymill.day')::date::timestamp END AT TIME ZONE 'UTC';
END
$$;

CREATE FUNCTION tallymill.asked_to(p_what text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_what WHEN 'range' THEN (pg_catalog.current_setting('tallymill.last_day')::date + 1)::timestamp
                     WHEN 'week' THEN pg_catalog.date_trunc('week', pg_catalog.current_setting('tallymill.day')::date::timestamp) + interval '7 days'
                     ELSE (pg_catalog.current_setting('tallymill.day')::date + 1)::timestamp END AT TIME ZONE 'UTC';
END
$$;

-- True, or an error: the plan was made for another range than the one that is asked for now. Costs one call a query.
CREATE FUNCTION tallymill.is_asked(p_what text, p_planned text) RETURNS boolean
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

REVOKE ALL ON FUNCTION tallymill.asked(text), tallymill.asked_from(text), tallymill.asked_to(text), tallymill.is_asked(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.asked(text), tallymill.asked_from(text), tallymill.asked_to(text), tallymill.is_asked(text, text)
  TO tallymill_aggregate, tallymill_read;

CREATE OR REPLACE VIEW tallymill.settled_events AS
  SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.created_at, e.batch_id
  FROM public.analytics_events e
  WHERE e.is_internal = FALSE
    AND (e.batch_id IS NULL OR e.batch_id < (SELECT tallymill.unfolded_from()) OR e.batch_id NOT IN (SELECT tallymill.unfolded_batches()));

CREATE OR REPLACE VIEW tallymill.day_events AS
  SELECT * FROM tallymill.settled_events
  WHERE created_at >= tallymill.asked_from('day') AND created_at < tallymill.asked_to('day') AND tallymill.is_asked('day', tallymill.asked('day'));

CREATE OR REPLACE VIEW tallymill.week_events AS
  SELECT * FROM tallymill.settled_events
  WHERE created_at >= tallymill.asked_from('week') AND created_at < tallymill.asked_to('week') AND tallymill.is_asked('week', tallymill.asked('week'));

-- Those from tallymill.first_day to tallymill.last_day, both whole, with the UTC day of each and the Monday of its week: one query for many days.
CREATE VIEW tallymill.range_events AS
  SELECT (created_at AT TIME ZONE 'UTC')::date AS date, date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week, *
  FROM tallymill.settled_events
  WHERE created_at >= tallymill.asked_from('range') AND created_at < tallymill.asked_to('range')
    AND tallymill.is_asked('range', tallymill.asked('range'));

-- Each of those days, with events or without, for a rollup that has a row for every day.
CREATE VIEW tallymill.range_days AS
  SELECT (tallymill.asked_from('range') AT TIME ZONE 'UTC')::date + n AS date
  FROM generate_series(0, (tallymill.asked_to('range') AT TIME ZONE 'UTC')::date - (tallymill.asked_from('range') AT TIME ZONE 'UTC')::date - 1) AS n
  WHERE tallymill.is_asked('range', tallymill.asked('range'));
GRANT SELECT ON tallymill.range_events, tallymill.range_days TO tallymill_aggregate, tallymill_read;

-- The UTC days from p_first to p_last that have external events, month by month: by leaps through the index of external events, one look for each day
-- rather than one for each row.
CREATE FUNCTION tallymill.event_days(p_first date, p_last date) RETURNS SETOF date
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  leaf record;
BEGIN
  FOR leaf IN
    SELECT t.leaf AS name, t.month FROM tallymill.table_partitions() t
      WHERE CASE WHEN t.month IS NULL THEN has_table_privilege(t.leaf, 'SELECT')
                 ELSE t.month <= p_last AND (t.month + interval '1 month')::date > p_first END
  LOOP
    -- Through the parent, on which the reader has its rights; the month's limits are constants, so that no other month is looked at.
    RETURN QUERY EXECUTE format($q$
      WITH RECURSIVE found AS (
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L) AS at
        UNION ALL
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L
                  AND e.created_at >= date_trunc('day', f.at) + interval '1 day')
        FROM found f WHERE f.at IS NOT NULL
      )
      SELECT at::date FROM found WHERE at IS NOT NULL$q$,
      CASE WHEN leaf.month IS NULL THEN leaf.name::text ELSE 'public.analytics_events' END,
      greatest(leaf.month, p_first)::timestamptz, least((leaf.month + interval '1 month')::date, p_last + 1)::timestamptz);
  END LOOP;
END
$$;
REVOKE ALL ON FUNCTION tallymill.event_days(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.event_days(date, date) TO tallymill_aggregate, tallymill_read;

-- 3. Rollups of many days at once.

-- is_range: its query reads range_events and gives its period (date, or week) itself.
ALTER TABLE tallymill.rollups ADD COLUMN is_range boolean NOT NULL DEFAULT false;

-- Defines a rollup: makes its table, adds columns that are new, or takes note of a changed query. Returns 'made', 'changed' or 'unchanged'.
-- A table keeps days whose months are archived, so nothing is dropped: other keys, types or fewer columns are refused (TM004).
CREATE FUNCTION tallymill.define_rollup(p_rollup text, p_target text, p_keys text[], p_cadence interval, p_looks_back boolean, p_query text,
                                        p_is_range boolean) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  known tallymill.rollups;
  days constant integer := CASE WHEN p_target LIKE 'analytics\_weekly\_%' THEN 7 ELSE 1 END;
  period constant text := CASE WHEN days = 7 THEN 'week' ELSE 'date' END;
  keys constant text[] := array_remove(p_keys, period);
  shape text[]; -- the query's columns and their types, without the period
  types text[];
  period_type text;
  held_type text;
  statement text;
BEGIN
  PERFORM set_config('tallymill.day', '2000-01-01', true), set_config('tallymill.first_day', '2000-01-01', true),
          set_config('tallymill.last_day', '2000-01-01', true);
  statement := format(E'CREATE TABLE tallymill.rollup_shape AS SELECT * FROM (\n%s\n) AS q WITH NO DATA', p_query);
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true); -- the query's own names
  EXECUTE statement;
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE NOT (p_is_range AND a.attname = period)),
         array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FILTER (WHERE NOT (p_is_range AND a.attname = period)),
         max(format_type(a.atttypid, a.atttypmod)) FILTER (WHERE a.attname = period)
    INTO shape, types, period_type
    FROM pg_attribute a WHERE a.attrelid = 'tallymill.rollup_shape'::regclass AND a.attnum > 0 AND NOT a.attisdropped;
  IF p_is_range AND period_type IS DISTINCT FROM 'date' THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the query of a range gives its %s itself, as a date: it is %s', period, coalesce(period_type, 'not there'));
  ELSIF NOT coalesce(shape, '{}') @> keys THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the query has no column %s, which is in its key',
      (SELECT string_agg(k, ', ') FROM unnest(keys) k WHERE k <> ALL (coalesce(shape, '{}'))));
  ELSIF coalesce(shape, '{}') <@ keys THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'the query has no column beside its key';
  END IF;

  SELECT * INTO known FROM tallymill.rollups r WHERE r.rollup = p_rollup FOR UPDATE;
  IF FOUND AND known.target <> p_target THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('its target was %s: a rollup keeps its table; give the file another name', known.target);
  ELSIF FOUND AND known.key_columns <> keys THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('its key was (%s): a rollup keeps its key; give the file and its target another name',
      array_to_string(period || known.key_columns, ', '));
  ELSIF FOUND AND NOT shape @> known.value_columns THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('its query no longer has %s: a rollup keeps its columns; give the file and its target another name',
      (SELECT string_agg(k, ', ') FROM unnest(known.value_columns) k WHERE k <> ALL (shape)));
  ELSIF NOT FOUND THEN
    IF to_regclass('public.' || quote_ident(p_target)) IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('table public.%s is there already and is no rollup', p_target);
    END IF;
    EXECUTE format('CREATE TABLE public.%I (%I date NOT NULL, %s, PRIMARY KEY (%s))', p_target, period,
                   (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)
                             || CASE WHEN a.attcollation <> t.typcollation
                                     THEN (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c
                                           JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation)
                                     ELSE '' END), ', ' ORDER BY a.attnum)
                    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                    WHERE a.attrelid = 'tallymill.rollup_shape'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (shape)),
                   (SELECT string_agg(quote_ident(k), ', ' ORDER BY n) FROM unnest(period || keys) WITH ORDINALITY AS u (k, n)));
    EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', p_target);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO tallymill_aggregate', p_target);
    EXECUTE format('COMMENT ON TABLE public.%I IS %L', p_target, 'Rollup ' || p_rollup || ' of tallymill.rollups, kept by tallymill-aggregator');
  END IF;

  FOR i IN 1 .. cardinality(shape) LOOP
    SELECT format_type(a.atttypid, a.atttypmod) INTO held_type FROM pg_attribute a
      WHERE a.attrelid = ('public.' || quote_ident(p_target))::regclass AND a.attname = shape[i] AND NOT a.attisdropped;
    IF NOT FOUND THEN
      EXECUTE format('ALTER TABLE public.%I ADD COLUMN %I %s', p_target, shape[i], types[i]);
    ELSIF held_type <> types[i] THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('column %s was %s and would be %s: a rollup keeps its types; give the column another name',
        shape[i], held_type, types[i]);
    END IF;
  END LOOP;
  DROP TABLE tallymill.rollup_shape;

  IF known.rollup IS NULL THEN
    INSERT INTO tallymill.rollups (rollup, target, period_days, period_column, key_columns, value_columns, cadence, looks_back, query, is_range)
      VALUES (p_rollup, p_target, days, period, keys, ARRAY(SELECT s FROM unnest(shape) s WHERE s <> ALL (keys)), p_cadence, p_looks_back, p_query, p_is_range);
    RETURN 'made';
  ELSIF (known.query, known.looks_back, known.is_range) IS DISTINCT FROM (p_query, p_looks_back, p_is_range) THEN
    UPDATE tallymill.rollups SET query = p_query, looks_back = p_looks_back, is_range = p_is_range, cadence = p_cadence, definition = definition + 1,
           value_columns = ARRAY(SELECT s FROM unnest(shape) s WHERE s <> ALL (keys)), defined_at = clock_timestamp(), retired_at = NULL
      WHERE rollup = p_rollup;
    RETURN 'changed';
  ELSIF known.cadence <> p_cadence OR known.retired_at IS NOT NULL THEN
    UPDATE tallymill.rollups SET cadence = p_cadence, retired_at = NULL WHERE rollup = p_rollup;
    RETURN 'changed';
  END IF;
  RETURN 'unchanged';
END
$$;

-- As the release before asks it: its files know no ranges.
CREATE OR REPLACE FUNCTION tallymill.define_rollup(p_rollup text, p_target text, p_keys text[], p_cadence interval, p_looks_back boolean, p_query text)
RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
  RETURN tallymill.define_rollup(p_rollup, p_target, p_keys, p_cadence, p_looks_back, p_query, false);
END
$$;

-- The query that gives the rows of these periods (their first days, ascending), the period's column first; sets what the views of events ask for.
-- A rollup without a range has one period at a time.
CREATE FUNCTION tallymill.rollup_rows(p_rule tallymill.rollups, p_periods date[]) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  last_day constant date := p_periods[cardinality(p_periods)] + p_rule.period_days - 1;
  is_whole constant boolean := cardinality(p_periods) * p_rule.period_days = last_day - p_periods[1] + 1;
BEGIN
  IF NOT p_rule.is_range AND cardinality(p_periods) <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('rollup %s is computed one period at a time', p_rule.rollup);
  END IF;
  PERFORM set_config('tallymill.day', p_periods[1]::text, true), set_config('tallymill.first_day', p_periods[1]::text, true),
          set_config('tallymill.last_day', last_day::text, true);
  RETURN CASE WHEN p_rule.is_range
    THEN format(E'SELECT * FROM (\n%s\n) AS q%s', p_rule.query,
                CASE WHEN is_whole THEN '' ELSE format(' WHERE %I = ANY (%L::date[])', p_rule.period_column, p_periods) END)
    ELSE format(E'SELECT %L::date AS %I, q.* FROM (\n%s\n) AS q', p_periods[1], p_rule.period_column, p_rule.query) END;
END
$$;

-- Computes these periods of a rollup (their first days, ascending) and replaces their rows; returns how many rows that changed. Only what differs is written.
-- The caller's snapshot may show a month that Postgres, which plans by the catalogue of now, no longer reads: pg_partition_root() looks
-- at the catalogue of now. What was read is locked, so it is asked after the reading. 40001: a month left behind the snapshot, begin again.
-- TM007: a month that the query reads is not attached though its state says so: somebody detached it by hand. The periods keep their rows.
CREATE FUNCTION tallymill.replace_rollup(p_rollup text, p_periods date[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  r tallymill.rollups;
  keys text[];
  rows_query text;
  last_day date;
  changed bigint;
  away record;
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  last_day := p_periods[cardinality(p_periods)] + r.period_days - 1;
  rows_query := tallymill.rollup_rows(r, p_periods);
  rows_query := format($q$
    WITH fresh AS MATERIALIZED (
%1$s
    ), gone AS (
      DELETE FROM public.%3$I h WHERE h.%2$I = ANY (%4$L::date[]) AND NOT EXISTS (SELECT FROM fresh f WHERE (%5$s) = (%6$s)) RETURNING 1
    ), written AS (
      INSERT INTO public.%3$I AS h (%7$s, %8$s) SELECT %7$s, %8$s FROM fresh
      ON CONFLICT (%7$s) DO UPDATE SET (%8$s) = ROW (%9$s) WHERE (%10$s) IS DISTINCT FROM (%9$s) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written)$q$,
    rows_query, r.period_column, r.target, p_periods, tallymill.column_list(keys, 'f.'), tallymill.column_list(keys, 'h.'),
    tallymill.column_list(keys), tallymill.column_list(r.value_columns), tallymill.column_list(r.value_columns, 'excluded.'),
    tallymill.column_list(r.value_columns, 'h.'));
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true); -- the query's own names
  EXECUTE rows_query INTO changed;
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT to_char(m.month::timestamp, 'YYYY_MM') AS name, EXISTS (
           SELECT FROM pg_inherits i WHERE i.inhrelid = tallymill.month_table(m.month)
             AND i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending) AS was_there
    INTO away FROM tallymill.months m
    WHERE m.state IN ('open', 'restored') AND m.month <= last_day AND (r.looks_back OR m.month >= date_trunc('month', p_periods[1]::timestamp))
      AND pg_partition_root(tallymill.month_table(m.month)) IS DISTINCT FROM 'public.analytics_events'::regclass
    ORDER BY m.month LIMIT 1;
  IF FOUND AND away.was_there THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = format('table analytics_events_%s left analytics_events meanwhile', away.name);
  ELSIF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table analytics_events_%s is no part of analytics_events, and its month is not archived: ATTACH it again', away.name);
  END IF;
  RETURN changed;
END
$$;

-- One period, as the release before asks it.
CREATE OR REPLACE FUNCTION tallymill.run_rollup(p_rollup text, p_day date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
BEGIN
  RETURN tallymill.replace_rollup(p_rollup, ARRAY[p_day]);
END
$$;

-- Of which version the events of a rollup's periods are, from the one that begins on p_first to the one that begins on p_last.
-- A week's version is the sum of its days', one that looks back sums up all days before too: each only goes up, so equal sums are equal days.
CREATE FUNCTION tallymill.period_versions(p_period_days integer, p_looks_back boolean, p_first date, p_last date)
RETURNS TABLE (first_day date, version bigint)
LANGUAGE plpgsql STABLE ROWS 31 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
    SELECT s.first_day, s.version FROM (
      SELECT p.first_day, (CASE WHEN p_looks_back THEN sum(p.version) OVER (ORDER BY p.first_day) ELSE p.version END)::bigint AS version
      FROM (SELECT CASE WHEN p_period_days = 7 THEN date_trunc('week', d.day::timestamp)::date ELSE d.day END AS first_day,
                   sum(coalesce(c.version, 0))::bigint AS version
            FROM tallymill.days d LEFT JOIN tallymill.changes c ON c.day = d.day
            WHERE d.day BETWEEN CASE WHEN p_looks_back THEN '-infinity' ELSE p_first END AND p_last + p_period_days - 1
            GROUP BY 1) p) s
    WHERE s.first_day >= p_first ORDER BY s.first_day;
END
$$;

-- What is due, as pieces of work: so many periods of one rollup that one query may compute, in a month (a year of weeks) and of about p_events events.
-- A day that waits for a rebuild is no rollup's yet. p_since: every period that is stale and was not run since then is due, whatever its cadence.
-- A query that failed is tried again after ten times what it took, ten minutes at least, or when its file has changed. Days are numbers since 1970.
-- Two rows more, without a rollup, where there is anything: in periods all that are due; in probe_us what a loop of fixed length takes on this
-- server now, which says how busy it is.
CREATE FUNCTION tallymill.due_rollups(p_newest_first boolean, p_since timestamptz, p_events bigint, p_limit integer)
RETURNS TABLE (rollup text, first_day integer, last_day integer, period_days integer, periods bigint, probe_us bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
  begun timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH stale AS MATERIALIZED (
    SELECT p.rollup, p.first_day, p.last_day, r.period_days, r.is_range, p.ran_at,
           (p.failed_at IS NULL OR p.failed_at < begun - greatest(interval '10 minutes', interval '10 us' * coalesce(p.took_us, 0))
              OR p.failed_definition <> p.definition)
           AND (p.ran_at IS NULL OR p.is_new OR p.closed_at > p.ran_at OR p.ran_at + p.cadence <= begun OR p.ran_at < p_since)
           AND (p_since IS NULL OR p.ran_at IS NULL OR p.ran_at < p_since OR p.is_new)
           AND (r.looks_back OR NOT p.is_dirty) AS is_due
    FROM tallymill.rollup_periods p JOIN tallymill.rollups r ON r.rollup = p.rollup
    WHERE p.is_stale
  ), days AS MATERIALIZED (
    SELECT s.date, sum(s.event_count)::bigint AS events FROM public.analytics_daily_stats s
    WHERE EXISTS (SELECT FROM stale) GROUP BY s.date
  ), volume AS (
    SELECT 1 AS period_days, d.date AS first_day, d.events FROM days d
    UNION ALL SELECT 7, date_trunc('week', d.date::timestamp)::date, sum(d.events)::bigint FROM days d GROUP BY 2
  ), cut AS (
    SELECT s.*, date_trunc(CASE WHEN s.period_days = 7 THEN 'year' ELSE 'month' END, s.first_day::timestamp) AS grp,
           count(*) FILTER (WHERE NOT s.is_due) OVER before AS island, (coalesce(sum(v.events) OVER before, 0) / p_events)::bigint AS piece
    FROM stale s LEFT JOIN volume v ON v.period_days = s.period_days AND v.first_day = s.first_day
    WINDOW before AS (PARTITION BY s.rollup, date_trunc(CASE WHEN s.period_days = 7 THEN 'year' ELSE 'month' END, s.first_day::timestamp)
                      ORDER BY s.first_day)
  ), pieces AS (
    SELECT c.rollup, min(c.first_day) AS first_day, max(c.last_day) AS last_day, min(c.period_days) AS period_days, count(*) AS periods,
           min(coalesce(c.ran_at, '-infinity')) AS ran_at
    FROM cut c WHERE c.is_due
    GROUP BY c.rollup, c.grp, c.island, c.piece, CASE WHEN NOT c.is_range THEN c.first_day END
    ORDER BY CASE WHEN NOT p_newest_first THEN min(coalesce(c.ran_at, '-infinity')) END, max(c.last_day) DESC, c.rollup
    LIMIT p_limit
  )
  SELECT * FROM (
    SELECT q.rollup, q.first_day - date '1970-01-01', q.last_day - date '1970-01-01', q.period_days, q.periods, NULL::bigint FROM pieces q
    ORDER BY CASE WHEN NOT p_newest_first THEN q.ran_at END, q.last_day DESC, q.rollup) o
  UNION ALL SELECT NULL, NULL, NULL, NULL, (SELECT count(*) FROM stale t WHERE t.is_due), NULL WHERE EXISTS (SELECT FROM stale);
  IF FOUND THEN
    begun := clock_timestamp();
    PERFORM count(*) FROM generate_series(1, 50000);
    RETURN QUERY SELECT NULL::text, NULL::integer, NULL::integer, NULL::integer, NULL::bigint, (extract(epoch FROM clock_timestamp() - begun) * 1000000)::bigint;
  END IF;
END
$$;

-- Runs what is stale of a rollup from p_first to p_last, with one query: call it in a REPEATABLE READ transaction of its own. No row: nothing is, or p_epoch
-- does not lead. What makes it safe are the periods' rows in rollup_runs, taken first: in REPEATABLE READ a transaction whose snapshot is older than
-- another's commit gets 40001 there, so newer rows are never replaced by older ones, whoever leads. (The leader's row itself would not do: a cycle
-- would wait for it as long as a query lasts.)
-- A query that fails, or is ended by statement_timeout, costs its own period, whatever its SQLSTATE: the error is kept there. Of several periods nothing
-- is kept but the error returned: the caller tries fewer. What is about the server (a full disk, a lost connection of ours) fails outside of the query
-- too, and there the transaction. A conflict (class 40) wants a newer snapshot, so the transaction goes again; of a query that conflicts each time the
-- caller says SET LOCAL tallymill.conflicts = 'aside', and it is treated as any other failure.
CREATE FUNCTION tallymill.run_rollups_between(p_epoch bigint, p_rollup text, p_first date, p_last date)
RETURNS TABLE (periods bigint, changed_rows bigint, took_us bigint, error text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  begun constant timestamptz := clock_timestamp();
  r tallymill.rollups;
  days date[];
  versions bigint[];
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  SELECT * INTO r FROM tallymill.rollups t WHERE t.rollup = p_rollup AND t.retired_at IS NULL;
  SELECT array_agg(v.first_day ORDER BY v.first_day), array_agg(v.version ORDER BY v.first_day) INTO days, versions
    FROM tallymill.period_versions(r.period_days, r.looks_back, p_first, p_last) v
    LEFT JOIN tallymill.rollup_runs t ON t.rollup = p_rollup AND t.first_day = v.first_day AND t.first_day BETWEEN p_first AND p_last
    WHERE t.definition IS DISTINCT FROM r.definition OR t.version IS DISTINCT FROM v.version;
  IF r.rollup IS NULL OR days IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO tallymill.rollup_runs AS t (rollup, first_day) SELECT p_rollup, u.day FROM unnest(days) AS u (day) ON CONFLICT DO NOTHING;
  PERFORM FROM tallymill.rollup_runs t WHERE t.rollup = p_rollup AND t.first_day = ANY (days) ORDER BY t.first_day FOR UPDATE;
  periods := cardinality(days);
  changed_rows := 0;
  BEGIN
    changed_rows := tallymill.replace_rollup(p_rollup, days);
    took_us := extract(epoch FROM clock_timestamp() - begun) * 1000000;
    UPDATE tallymill.rollup_runs t
      SET version = u.version, definition = r.definition, ran_at = clock_timestamp(), took_us = run_rollups_between.took_us / periods,
          error = NULL, failed_at = NULL, failed_definition = NULL
      FROM unnest(days, versions) AS u (day, version)
      WHERE t.rollup = p_rollup AND t.first_day = u.day;
  EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
    IF left(SQLSTATE, 2) = '40' AND current_setting('tallymill.conflicts', true) IS DISTINCT FROM 'aside' THEN
      RAISE;
    END IF;
    error := SQLSTATE || ' ' || SQLERRM;
    took_us := extract(epoch FROM clock_timestamp() - begun) * 1000000;
    IF periods = 1 THEN
      UPDATE tallymill.rollup_runs t
        SET error = run_rollups_between.error, failed_at = clock_timestamp(), failed_definition = r.definition, took_us = run_rollups_between.took_us
        WHERE t.rollup = p_rollup AND t.first_day = days[1];
    END IF;
  END;
  RETURN NEXT;
END
$$;

-- Where a rollup's rows of these periods differ from its query, one row for each figure; NULL on the side that has no such row.
CREATE FUNCTION tallymill.rollup_differences(p_rollup text, p_periods date[])
RETURNS TABLE (first_day date, row_key text, column_name text, have text, should text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  r tallymill.rollups;
  keys text[];
  rows_query text;
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  rows_query := tallymill.rollup_rows(r, p_periods);
  rows_query := format($q$
    WITH fresh AS MATERIALIZED (
      SELECT true AS is_there, w.* FROM (
%1$s
      ) AS w
    ), held AS MATERIALIZED (
      SELECT true AS is_there, * FROM public.%3$I WHERE %2$I = ANY (%4$L::date[])
    )
    SELECT %2$I, pg_catalog.concat_ws(', ', %5$s), c.name, c.have, c.should
    FROM fresh f FULL JOIN held h USING (%6$s)
    CROSS JOIN LATERAL (VALUES %7$s) AS c (name, have, should)
    WHERE c.have IS DISTINCT FROM c.should OR (h.is_there IS NULL OR f.is_there IS NULL)
    ORDER BY 1, 2, 3$q$,
    rows_query, r.period_column, r.target, p_periods,
    coalesce(tallymill.column_list(r.key_columns), quote_ident(r.period_column)), tallymill.column_list(keys),
    (SELECT string_agg(format('(%L, h.%I::text, f.%I::text)', v, v, v), ', ') FROM unnest(r.value_columns) v));
  PERFORM set_config('search_path', 'pg_catalog, public, pg_temp', true); -- the query's own names
  RETURN QUERY EXECUTE rows_query;
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
END
$$;

CREATE OR REPLACE FUNCTION tallymill.rollup_differences(p_rollup text, p_day date)
RETURNS TABLE (row_key text, column_name text, have text, should text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT d.row_key, d.column_name, d.have, d.should FROM tallymill.rollup_differences(p_rollup, ARRAY[p_day]) d;
END
$$;

REVOKE ALL ON FUNCTION tallymill.define_rollup(text, text, text[], interval, boolean, text, boolean), tallymill.rollup_rows(tallymill.rollups, date[]),
  tallymill.replace_rollup(text, date[]), tallymill.period_versions(integer, boolean, date, date),
  tallymill.due_rollups(boolean, timestamptz, bigint, integer), tallymill.run_rollups_between(bigint, text, date, date),
  tallymill.rollup_differences(text, date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.replace_rollup(text, date[]), tallymill.due_rollups(boolean, timestamptz, bigint, integer),
  tallymill.run_rollups_between(bigint, text, date, date) TO tallymill_aggregate;
GRANT EXECUTE ON FUNCTION tallymill.rollup_rows(tallymill.rollups, date[]), tallymill.period_versions(integer, boolean, date, date),
  tallymill.rollup_differences(text, date[]) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
