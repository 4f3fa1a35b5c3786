-- Rollups: tables that are made of one query for one day, declared in files (schemas/rollups), defined by `tallymill migrate`, run by the
-- aggregator, compared by `tallymill verify`. Runs in psql as it stands, after 0006.
--
-- A rollup's rows and the version of the day that they are of commit together. So whoever reads both in one snapshot knows whether
-- the rows are up to date, and if they are, they equal the query, bit for bit: over the same events that analytics_daily_stats holds.

SET ROLE tallymill_admin;

-- How often the events of a day changed. The aggregator raises it in the transaction that changes the day's statistics.
-- A table of its own: it is updated in every cycle, tallymill.days is not.
CREATE TABLE tallymill.changes (
  day     date PRIMARY KEY,
  version bigint NOT NULL
) WITH (fillfactor = 50);

-- What the files declare. definition goes up when a file's query changes: everything is then computed anew.
CREATE TABLE tallymill.rollups (
  rollup        text PRIMARY KEY,
  target        text NOT NULL UNIQUE,
  period_days   integer NOT NULL CHECK (period_days IN (1, 7)),
  period_column text NOT NULL,
  key_columns   text[] NOT NULL,
  value_columns text[] NOT NULL CHECK (cardinality(value_columns) > 0),
  cadence       interval NOT NULL,
  looks_back    boolean NOT NULL,
  query         text NOT NULL,
  definition    integer NOT NULL DEFAULT 1,
  defined_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  retired_at    timestamptz
);

-- One row for each rollup and period (a day, or the week that begins on that Monday) that was computed.
CREATE TABLE tallymill.rollup_runs (
  rollup            text NOT NULL,
  first_day         date NOT NULL,
  version           bigint,
  definition        integer,
  ran_at            timestamptz,
  took_us           bigint,
  error             text,
  failed_at         timestamptz,
  failed_definition integer,
  PRIMARY KEY (rollup, first_day)
) WITH (fillfactor = 70);

GRANT SELECT ON tallymill.changes, tallymill.rollups, tallymill.rollup_runs TO tallymill_aggregate, tallymill_read;
GRANT INSERT, UPDATE, DELETE ON tallymill.changes, tallymill.rollup_runs TO tallymill_aggregate;

-- What a rollup's query reads: the external events that the daily statistics hold, so that the two always agree. Rows of batches beyond
-- `folded` are left out.
CREATE VIEW tallymill.settled_events AS
  SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.created_at, e.batch_id
  FROM public.analytics_events e
  WHERE e.is_internal = FALSE AND NOT EXISTS (SELECT FROM tallymill.unfolded u WHERE u.batch_id = e.batch_id);

-- Those of one UTC day, and of the week from Monday to Sunday that holds it: SET tallymill.day = '2026-11-24'.
-- The range is stable, so a plan touches one month and no other.
CREATE VIEW tallymill.day_events AS
  SELECT * FROM tallymill.settled_events
  WHERE created_at >= current_setting('tallymill.day')::date::timestamp AT TIME ZONE 'UTC'
    AND created_at < (current_setting('tallymill.day')::date + 1)::timestamp AT TIME ZONE 'UTC';

CREATE VIEW tallymill.week_events AS
  SELECT * FROM tallymill.settled_events
  WHERE created_at >= date_trunc('week', current_setting('tallymill.day')::date::timestamp) AT TIME ZONE 'UTC'
    AND created_at < (date_trunc('week', current_setting('tallymill.day')::date::timestamp) + interval '7 days') AT TIME ZONE 'UTC';

-- An attribute as a number, and as a label: whatever an application sent, no cast fails. A number is exact (numeric), so no sum depends on
-- the order of its rows. A label is at most 100 characters, so that it fits an index; '(none)' where there is none.
CREATE FUNCTION tallymill.number(p_value jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN jsonb_typeof(p_value) = 'number' THEN p_value::numeric END $$;

CREATE FUNCTION tallymill.label(p_value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT coalesce(left(p_value #>> '{}', 100), '(none)') $$;

-- Each rollup's periods of attached months, with what is known of them. is_stale: its rows are not of this version of its events.
-- A week's version is the sum of its days', a rollup that looks back sums up all days before too: each only goes up, so equal sums are equal days.
CREATE VIEW tallymill.rollup_periods AS
WITH known AS (
  SELECT d.day, coalesce(c.version, 0) AS version, d.closed_at, d.dirty_since IS NOT NULL AS is_dirty, m.month IS NOT NULL AS is_attached
  FROM tallymill.days d
  LEFT JOIN tallymill.changes c ON c.day = d.day
  LEFT JOIN tallymill.months m ON m.month = date_trunc('month', d.day::timestamp)::date AND m.state IN ('open', 'restored')
), periods AS (
  SELECT 1 AS period_days, day AS first_day, version, closed_at, is_dirty, is_attached FROM known
  UNION ALL
  SELECT 7, date_trunc('week', day::timestamp)::date, sum(version), max(closed_at), bool_or(is_dirty), bool_and(is_attached)
  FROM known GROUP BY 2
), summed AS (
  SELECT p.period_days, p.first_day, p.closed_at, p.is_attached, p.version::bigint AS version, p.is_dirty,
         sum(p.version) OVER before AS version_before, bool_or(p.is_dirty) OVER before AS is_dirty_before
  FROM periods p WINDOW before AS (PARTITION BY p.period_days ORDER BY p.first_day)
)
SELECT r.rollup, r.target, s.first_day, s.first_day + r.period_days - 1 AS last_day, s.closed_at,
       CASE WHEN r.looks_back THEN s.version_before::bigint ELSE s.version END AS version,
       CASE WHEN r.looks_back THEN s.is_dirty_before ELSE s.is_dirty END AS is_dirty,
       r.definition, r.cadence, t.ran_at, t.took_us, t.error, t.failed_at, t.failed_definition,
       t.definition IS DISTINCT FROM r.definition
         OR t.version IS DISTINCT FROM CASE WHEN r.looks_back THEN s.version_before::bigint ELSE s.version END AS is_stale,
       t.definition IS DISTINCT FROM r.definition AS is_new
FROM tallymill.rollups r
JOIN summed s ON s.period_days = r.period_days AND s.is_attached
LEFT JOIN tallymill.rollup_runs t ON t.rollup = r.rollup AND t.first_day = s.first_day
WHERE r.retired_at IS NULL;
GRANT SELECT ON tallymill.settled_events, tallymill.day_events, tallymill.week_events, tallymill.rollup_periods
  TO tallymill_aggregate, tallymill_read;

-- Defines a rollup: makes its table, adds columns that are new, or takes note of a changed query. Returns 'made', 'changed' or 'unchanged'.
-- A table keeps days whose months are archived, so nothing is dropped: other keys, types or fewer columns are refused (TM004).
CREATE FUNCTION tallymill.define_rollup(p_rollup text, p_target text, p_keys text[], p_cadence interval, p_looks_back boolean, p_query text)
RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  known tallymill.rollups;
  days constant integer := CASE WHEN p_target LIKE 'analytics\_weekly\_%' THEN 7 ELSE 1 END;
  period constant text := CASE WHEN days = 7 THEN 'week' ELSE 'date' END;
  keys constant text[] := array_remove(p_keys, period);
  shape text[]; -- the query's columns and their types
  types text[];
  held_type text;
BEGIN
  PERFORM set_config('tallymill.day', '2000-01-01', true);
  EXECUTE format(E'CREATE TABLE tallymill.rollup_shape AS SELECT NULL::date AS %I, q.* FROM (\n%s\n) AS q WITH NO DATA', period, p_query);
  SELECT array_agg(a.attname::text ORDER BY a.attnum), array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
    INTO shape, types
    FROM pg_attribute a WHERE a.attrelid = 'tallymill.rollup_shape'::regclass AND a.attnum > 1 AND NOT a.attisdropped;
  IF NOT shape @> keys THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the query has no column %s, which is in its key',
      (SELECT string_agg(k, ', ') FROM unnest(keys) k WHERE k <> ALL (shape)));
  ELSIF shape <@ keys THEN
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
    EXECUTE format('CREATE TABLE public.%I (LIKE tallymill.rollup_shape, PRIMARY KEY (%s))', p_target,
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
    INSERT INTO tallymill.rollups (rollup, target, period_days, period_column, key_columns, value_columns, cadence, looks_back, query)
      VALUES (p_rollup, p_target, days, period, keys, ARRAY(SELECT s FROM unnest(shape) s WHERE s <> ALL (keys)), p_cadence, p_looks_back, p_query);
    RETURN 'made';
  ELSIF (known.query, known.looks_back) IS DISTINCT FROM (p_query, p_looks_back) THEN
    UPDATE tallymill.rollups SET query = p_query, looks_back = p_looks_back, cadence = p_cadence, definition = definition + 1,
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

-- Names of columns as a list for SQL, each with a prefix ('h.').
CREATE FUNCTION tallymill.column_list(p_columns text[], p_prefix text DEFAULT '') RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT string_agg(p_prefix || quote_ident(c), ', ' ORDER BY n) FROM unnest(p_columns) WITH ORDINALITY AS u (c, n) $$;

-- Computes one period of a rollup and replaces its rows; returns how many rows that changed. Only what differs is written.
CREATE FUNCTION tallymill.run_rollup(p_rollup text, p_day date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  r tallymill.rollups;
  keys text[];
  changed bigint;
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
  RETURN changed;
END
$$;

-- Where a rollup's rows differ from its query, one row for each figure; NULL on the side that has no such row.
CREATE FUNCTION tallymill.rollup_differences(p_rollup text, p_day date)
RETURNS TABLE (row_key text, column_name text, have text, should text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  r tallymill.rollups;
  keys text[];
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  PERFORM set_config('tallymill.day', p_day::text, true);
  RETURN QUERY EXECUTE format($q$
    WITH fresh AS MATERIALIZED (
      SELECT true AS is_there, %1$L::date AS %2$I, q.* FROM (
%3$s
      ) AS q
    ), held AS MATERIALIZED (
      SELECT true AS is_there, * FROM public.%4$I WHERE %2$I = %1$L::date
    )
    SELECT concat_ws(', ', %5$s), c.name, c.have, c.should
    FROM fresh f FULL JOIN held h USING (%6$s)
    CROSS JOIN LATERAL (VALUES %7$s) AS c (name, have, should)
    WHERE c.have IS DISTINCT FROM c.should OR (h.is_there IS NULL OR f.is_there IS NULL)
    ORDER BY 1, 2$q$,
    p_day, r.period_column, r.query, r.target,
    coalesce(tallymill.column_list(r.key_columns), quote_ident(r.period_column)), tallymill.column_list(keys),
    (SELECT string_agg(format('(%L, h.%I::text, f.%I::text)', v, v, v), ', ') FROM unnest(r.value_columns) v));
END
$$;

-- Runs what is due, newest days first or longest waiting first, until p_budget has passed; at least one. Once for all due periods of one snapshot:
-- call it in a REPEATABLE READ transaction of its own.
-- The fence: only while p_epoch leads. What makes it safe is the run's row, taken first: in REPEATABLE READ a transaction whose snapshot is older than
-- another's commit gets 40001 there, so newer rows are never replaced by older ones, whoever leads. (The leader's row itself would not do: a cycle
-- would wait for it as long as a query lasts.)
-- p_since: every period that is stale and was not run since then is due, whatever its cadence.
-- A query that fails costs its own period: the error is kept, and it is tried again after ten minutes or when its file has changed.
CREATE FUNCTION tallymill.run_rollups(p_epoch bigint, p_budget interval, p_newest_first boolean, p_since timestamptz DEFAULT NULL)
RETURNS TABLE (rollup text, first_day date, changed_rows bigint, took_us bigint, error text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  begun constant timestamptz := clock_timestamp();
  due record;
  started timestamptz;
BEGIN
  IF p_epoch IS DISTINCT FROM (SELECT l.epoch FROM tallymill.leader l) THEN
    RETURN;
  END IF;
  FOR due IN
    SELECT p.rollup, p.first_day, p.version, p.definition FROM tallymill.rollup_periods p
    WHERE p.is_stale
      AND (p.failed_at IS NULL OR p.failed_at < begun - interval '10 minutes' OR p.failed_definition <> p.definition)
      AND (p.ran_at IS NULL OR p.is_new OR p.closed_at > p.ran_at OR p.ran_at + p.cadence <= begun OR p.ran_at < p_since)
      AND (p_since IS NULL OR p.ran_at IS NULL OR p.ran_at < p_since OR p.is_new)
    ORDER BY CASE WHEN NOT p_newest_first THEN p.ran_at END NULLS FIRST, p.first_day DESC, p.ran_at NULLS FIRST, p.rollup
    LIMIT 1000
  LOOP
    started := clock_timestamp();
    INSERT INTO tallymill.rollup_runs AS t (rollup, first_day) VALUES (due.rollup, due.first_day) ON CONFLICT DO NOTHING;
    PERFORM FROM tallymill.rollup_runs t WHERE t.rollup = due.rollup AND t.first_day = due.first_day FOR UPDATE;
    rollup := due.rollup;
    first_day := due.first_day;
    error := NULL;
    BEGIN
      changed_rows := tallymill.run_rollup(due.rollup, due.first_day);
      took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
      UPDATE tallymill.rollup_runs t
        SET version = due.version, definition = due.definition, ran_at = clock_timestamp(), took_us = run_rollups.took_us,
            error = NULL, failed_at = NULL, failed_definition = NULL
        WHERE t.rollup = due.rollup AND t.first_day = due.first_day;
    EXCEPTION WHEN OTHERS THEN
      -- Conflicts, resources and connections are nobody's fault: the transaction goes again.
      IF left(SQLSTATE, 2) IN ('40', '53', '55', '57', '58', '08') THEN
        RAISE;
      END IF;
      error := SQLSTATE || ' ' || SQLERRM;
      changed_rows := 0;
      took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
      UPDATE tallymill.rollup_runs t SET error = run_rollups.error, failed_at = clock_timestamp(), failed_definition = due.definition
        WHERE t.rollup = due.rollup AND t.first_day = due.first_day;
    END;
    RETURN NEXT;
    EXIT WHEN clock_timestamp() - begun > p_budget;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.define_rollup(text, text, text[], interval, boolean, text), tallymill.run_rollup(text, date),
  tallymill.rollup_differences(text, date), tallymill.run_rollups(bigint, interval, boolean, timestamptz),
  tallymill.column_list(text[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.run_rollup(text, date), tallymill.run_rollups(bigint, interval, boolean, timestamptz) TO tallymill_aggregate;
GRANT EXECUTE ON FUNCTION tallymill.rollup_differences(text, date), tallymill.column_list(text[], text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
