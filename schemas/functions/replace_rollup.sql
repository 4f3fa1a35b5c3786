-- Computes these periods of a rollup (their first days, ascending), of external events and of internal ones (internal_twin), and replaces their rows; returns how many rows that changed.
-- Only what differs is written.
-- The query's own names are found as tallymill.rollups.names says.
-- The caller's snapshot may show a month that Postgres, which plans by the catalogue of now, no longer reads: pg_partition_root() looks
-- at the catalogue of now. What was read is locked, so it is asked after the reading. 40001: a month left behind the snapshot, begin again.
-- TM007: a month that the query reads is not attached though its state says so: somebody detached it by hand, or it is just being archived. The periods keep their rows.
-- No nested loops where there is another way: of a month that was just filled and is not analyzed yet, as behind every import, the planner expects one row, whatever the query.
-- It then joined the parts of the funnel by language row by row: 8 s for one day of 20,000 events, 93 ms without. Such a query reads all events of its days in
-- any case, so a nested loop has nothing to win there; where nothing else serves (LATERAL), Postgres takes one all the same.
-- Where somebody's trigger or rule is on a target, its rows are compared with the query again: TM010 where they differ.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.replace_rollup(p_rollup text, p_periods date[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  external constant boolean[] := ARRAY[true, false];
  is_external boolean;
  r tallymill.rollups;
  keys text[];
  rows_query text;
  last_day date;
  changed bigint := 0;
  changed_here bigint;
  away record;
  targets regclass[] := '{}';
  wrong bigint;
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  last_day := p_periods[cardinality(p_periods)] + r.period_days - 1;
  FOREACH is_external IN ARRAY external LOOP
    IF NOT is_external THEN
      r := tallymill.internal_twin(r);
      EXIT WHEN to_regclass(format('public.%I', r.target)) IS NULL; -- defined before twins were, and its file is gone
    END IF;
    targets := targets || format('public.%I', r.target)::regclass;
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
    EXECUTE rows_query INTO changed_here;
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
    changed := changed + changed_here;
  END LOOP;
  SELECT to_char(m.month::timestamp, 'YYYY_MM') AS name, EXISTS (
           SELECT FROM pg_inherits i WHERE i.inhrelid = tallymill.month_table(m.month)
             AND i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending) AS was_there
    INTO away FROM tallymill.months m
    WHERE m.state IN ('open', 'restored', 'detaching') AND m.month <= last_day AND (r.looks_back OR m.month >= date_trunc('month', p_periods[1]::timestamp))
      AND pg_partition_root(tallymill.month_table(m.month)) IS DISTINCT FROM 'public.analytics_events'::regclass
    ORDER BY m.month LIMIT 1;
  IF FOUND AND away.was_there THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = format('table analytics_events_%s left analytics_events meanwhile', away.name);
  ELSIF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM007', MESSAGE = format('table analytics_events_%s is no part of analytics_events, and its month is not archived: ATTACH it again, or where it is being archived, let that end', away.name);
  END IF;
  IF EXISTS (SELECT FROM unnest(targets) AS t WHERE tallymill.is_watched(t)) THEN
    SELECT count(*) INTO wrong FROM (SELECT DISTINCT d.first_day, d.row_key FROM tallymill.rollup_differences(p_rollup, p_periods) d) AS w;
    IF wrong > 0 THEN
      PERFORM tallymill.kept_out(t, greatest(changed, wrong), greatest(changed, wrong) - wrong) FROM unnest(targets) AS t
        WHERE tallymill.is_watched(t);
    END IF;
  END IF;
  RETURN changed;
END
$$;

REVOKE ALL ON FUNCTION tallymill.replace_rollup(text, date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.replace_rollup(text, date[]) TO tallymill_aggregate;

RESET ROLE;
