-- Where a rollup's rows of these periods, or those of its twin over internal events, differ from its query, one row for each figure; NULL on the side that has no such row.
-- Values are compared as values: 10 is 10.0, and a run would not write it anew. The query's own names are found as tallymill.rollups.names says, and nested loops are left alone, as in replace_rollup.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.rollup_differences(p_rollup text, p_periods date[])
RETURNS TABLE (first_day date, row_key text, column_name text, have text, should text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  external constant boolean[] := ARRAY[true, false];
  is_external boolean;
  r tallymill.rollups;
  keys text[];
  rows_query text;
BEGIN
  SELECT * INTO STRICT r FROM tallymill.rollups WHERE rollup = p_rollup;
  keys := r.period_column || r.key_columns;
  FOREACH is_external IN ARRAY external LOOP
    IF NOT is_external THEN
      r := tallymill.internal_twin(r);
      EXIT WHEN to_regclass(format('public.%I', r.target)) IS NULL;
    END IF;
    rows_query := tallymill.rollup_rows(r, p_periods);
    rows_query := format($q$
    WITH fresh AS MATERIALIZED (
      SELECT true AS is_there, w.* FROM (
%1$s
      ) AS w
    ), held AS MATERIALIZED (
      SELECT true AS is_there, * FROM public.%3$I WHERE %2$I = ANY (%4$L::date[])
    )
    SELECT %2$I, %8$L || pg_catalog.concat_ws(', ', %5$s), c.name, c.have, c.should
    FROM fresh f FULL JOIN held h USING (%6$s)
    CROSS JOIN LATERAL (VALUES %7$s) AS c (name, have, should, differs)
    WHERE c.differs OR (h.is_there IS NULL OR f.is_there IS NULL)
    ORDER BY 1, 2, 3$q$,
    rows_query, r.period_column, r.target, p_periods,
    coalesce(tallymill.column_list(r.key_columns), quote_ident(r.period_column)), tallymill.column_list(keys),
    (SELECT string_agg(format('(%L, h.%I::text, f.%I::text, h.%I IS DISTINCT FROM f.%I)', v, v, v, v, v), ', ') FROM unnest(r.value_columns) v),
    CASE WHEN is_external THEN '' ELSE 'internal: ' END);
    PERFORM set_config('search_path', r.names, true);
    RETURN QUERY EXECUTE rows_query;
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.rollup_differences(text, date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.rollup_differences(text, date[]) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
