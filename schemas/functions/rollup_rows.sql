-- The query that gives the rows of these periods (their first days, ascending), the period's column first; sets what the views of events ask for.
-- A rollup without a range has one period at a time.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.rollup_rows(p_rule tallymill.rollups, p_periods date[]) RETURNS text
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

REVOKE ALL ON FUNCTION tallymill.rollup_rows(tallymill.rollups, date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.rollup_rows(tallymill.rollups, date[]) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
