-- One view that is missing or empty keeps nobody from the others; who holds a lock is named. Runs in psql as it stands, after 0024.

SET ROLE tallymill_admin;

-- NULL: it went well.
ALTER TABLE tallymill.refreshes ADD COLUMN error text;

-- As in 0008. A view that holds nothing yet (WITH NO DATA, as a restore may leave it) is filled, which keeps its readers waiting and CONCURRENTLY cannot.
-- TM004: none of ours, or it is not there.
CREATE OR REPLACE FUNCTION tallymill.refresh_view(p_view text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET lock_timeout = '60s'
AS $$
DECLARE
  started constant timestamptz := clock_timestamp();
  us bigint;
  is_filled boolean;
BEGIN
  IF p_view <> ALL (ARRAY['analytics_view_daily', 'analytics_view_funnel', 'analytics_view_conversion', 'analytics_view_performance']) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('%s is none of the views that Tallymill refreshes', p_view);
  END IF;
  SELECT c.relispopulated INTO is_filled FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = p_view AND c.relkind = 'm';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the materialized view public.%s is not there: somebody dropped it', p_view),
      HINT = 'Its definition is in schemas/sql/0008_views.sql. The tables that the aggregator keeps have the same figures.';
  END IF;
  EXECUTE format('REFRESH MATERIALIZED VIEW %s public.%I', CASE WHEN is_filled THEN 'CONCURRENTLY' ELSE '' END, p_view);
  us := extract(epoch FROM clock_timestamp() - started) * 1000000;
  INSERT INTO tallymill.refreshes (view, started_at, took_us) VALUES (p_view, started, us);
  DELETE FROM tallymill.refreshes WHERE started_at < started - interval '100 days';
  RETURN us;
END
$$;

-- The same for whoever comes back at any rate: a failure is noted (and its time, so that the view's turn is over) and returned.
CREATE FUNCTION tallymill.try_refresh_view(p_view text, OUT took_us bigint, OUT error text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  started constant timestamptz := clock_timestamp();
BEGIN
  took_us := tallymill.refresh_view(p_view);
EXCEPTION WHEN OTHERS THEN
  error := SQLSTATE || ' ' || SQLERRM;
  took_us := extract(epoch FROM clock_timestamp() - started) * 1000000;
  INSERT INTO tallymill.refreshes (view, started_at, took_us, error) VALUES (p_view, started, try_refresh_view.took_us, try_refresh_view.error);
END
$$;

-- How the names in a rollup's query are found. `migrate` tries it with Postgres's own alone: a query that names the schemas of all else runs so, and no look-alike that somebody
-- plants in `public` is taken for what it calls. Those that do not run as before.
ALTER TABLE tallymill.rollups ADD COLUMN names text NOT NULL DEFAULT 'pg_catalog, public, pg_temp'
  CHECK (names IN ('pg_catalog, pg_temp', 'pg_catalog, public, pg_temp'));

-- As in 0023, with these names.
CREATE OR REPLACE FUNCTION tallymill.replace_rollup(p_rollup text, p_periods date[]) RETURNS bigint
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
  PERFORM set_config('search_path', r.names, true);
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

-- As in 0023, with these names, and values compared as values: 10 is 10.0, and a run would not write it anew.
CREATE OR REPLACE FUNCTION tallymill.rollup_differences(p_rollup text, p_periods date[])
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
    CROSS JOIN LATERAL (VALUES %7$s) AS c (name, have, should, differs)
    WHERE c.differs OR (h.is_there IS NULL OR f.is_there IS NULL)
    ORDER BY 1, 2, 3$q$,
    rows_query, r.period_column, r.target, p_periods,
    coalesce(tallymill.column_list(r.key_columns), quote_ident(r.period_column)), tallymill.column_list(keys),
    (SELECT string_agg(format('(%L, h.%I::text, f.%I::text, h.%I IS DISTINCT FROM f.%I)', v, v, v, v, v), ', ') FROM unnest(r.value_columns) v));
  PERFORM set_config('search_path', r.names, true);
  RETURN QUERY EXECUTE rows_query;
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
END
$$;

-- Who has held a lock on a table of ours for a second or longer, the longest first; one line each.
CREATE FUNCTION tallymill.lock_holders() RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  SELECT format('pid %s (%s, login %s) holds %s on %s, its transaction is %s old; to end it: SELECT pg_terminate_backend(%1$s)',
                h.pid, coalesce(nullif(h.application_name, ''), 'an application without a name'), h.usename, h.mode, h.relation::regclass,
                coalesce(date_trunc('second', clock_timestamp() - h.xact_start)::text, '?'))
  FROM (SELECT DISTINCT ON (l.pid) l.pid, l.mode, l.relation, a.application_name, a.usename, a.xact_start
        FROM pg_locks l
        JOIN pg_stat_activity a ON a.pid = l.pid
        JOIN pg_class c ON c.oid = l.relation
        WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND (c.relnamespace = 'tallymill'::regnamespace OR c.relname LIKE 'analytics@_%' ESCAPE '@'
               OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = 'public.analytics_events'::regclass))
          AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - interval '1 second')
        ORDER BY l.pid, c.relkind = 'i', array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
          'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], l.mode), c.relname) h
  ORDER BY h.xact_start LIMIT 2;
END
$$;

REVOKE ALL ON FUNCTION tallymill.try_refresh_view(text), tallymill.lock_holders() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.try_refresh_view(text) TO tallymill_aggregate;
GRANT EXECUTE ON FUNCTION tallymill.lock_holders() TO tallymill_ingest, tallymill_aggregate, tallymill_read;

RESET ROLE;
