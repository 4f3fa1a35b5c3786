-- A rollup does not take a month that is gone for an empty one. Runs in psql as it stands, after 0016.

SET ROLE tallymill_admin;

-- Computes one period of a rollup and replaces its rows; returns how many rows that changed. Only what differs is written.
-- The caller's snapshot may show a month that Postgres, which plans by the catalogue of now, no longer reads: pg_inherits is read in the snapshot, pg_partition_root() looks
-- at the catalogue of now. What was read is locked, so both are asked after the reading. 40001: a month left behind the snapshot, begin again.
-- TM007: a month that the query reads is not attached though its state says so: somebody detached it by hand. The period keeps its rows.
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
      AND pg_partition_root(to_regclass('public.analytics_events_' || to_char(m.month, 'YYYY_MM'))) IS DISTINCT FROM pg_partition_root(events)
    ORDER BY m.month LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table analytics_events_%s is no part of analytics_events, and its month is not archived: ATTACH it again', away);
  END IF;
  RETURN changed;
END
$$;

RESET ROLE;
