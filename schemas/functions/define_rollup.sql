-- Defines a rollup: makes its table and its twin's, adds columns that are new, or takes note of a changed query. Returns 'made', 'changed' or 'unchanged'.
-- A table keeps days whose months are archived, so nothing is dropped: other keys, types or fewer columns are refused (TM004).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.define_rollup(p_rollup text, p_target text, p_keys text[], p_cadence interval, p_looks_back boolean, p_query text,
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
  twin constant text := 'analytics_internal_' || substr(p_target, 11); -- of the same query over internal events (internal_twin)
  had_twin constant boolean := to_regclass('public.' || quote_ident(twin)) IS NOT NULL;
  goal text;
  i integer;
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
  IF NOT had_twin THEN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', twin, p_target);
    EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', twin);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO tallymill_aggregate', twin);
    EXECUTE format('COMMENT ON TABLE public.%I IS %L', twin, 'Rollup ' || p_rollup || ' of tallymill.rollups over internal events, kept by tallymill-aggregator');
  ELSIF known.rollup IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('table public.%s is there already and is no rollup', twin);
  END IF;

  FOR i, goal IN SELECT n, t FROM generate_series(1, cardinality(shape)) AS n, unnest(ARRAY[p_target, twin]) AS t ORDER BY n, t LOOP
    SELECT format_type(a.atttypid, a.atttypmod) INTO held_type FROM pg_attribute a
      WHERE a.attrelid = ('public.' || quote_ident(goal))::regclass AND a.attname = shape[i] AND NOT a.attisdropped;
    IF NOT FOUND THEN
      EXECUTE format('ALTER TABLE public.%I ADD COLUMN %I %s', goal, shape[i], types[i]);
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
  ELSIF (known.query, known.looks_back, known.is_range, true) IS DISTINCT FROM (p_query, p_looks_back, p_is_range, had_twin) THEN
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

REVOKE ALL ON FUNCTION tallymill.define_rollup(text, text, text[], interval, boolean, text, boolean) FROM PUBLIC;

RESET ROLE;
