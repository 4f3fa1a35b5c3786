-- A day's rows of analytics_daily_uniques as numbers: the subject's bit, the population (0 external, 1 internal, 2 all), the previous day since 1970 (-2147483648: none).
-- Each subject and population are looked up by themselves: a list of populations would be a filter on all days of the index, and a day's cost grow with the days that are kept.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.unique_rows(p_kind text, p_day date)
RETURNS TABLE (subject_bit integer, population integer, previous integer, keys bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
BEGIN
  RETURN QUERY
    SELECT s.bit, p.number::integer - 1, CASE WHEN u.previous_date = '-infinity' THEN -2147483648 ELSE u.previous_date - date '1970-01-01' END, u.keys
    FROM tallymill.unique_subjects s
    CROSS JOIN unnest(ARRAY['external', 'internal', 'all']) WITH ORDINALITY p (population, number)
    CROSS JOIN LATERAL (SELECT a.previous_date, a.keys FROM public.analytics_daily_uniques a
                        WHERE a.subject = s.subject AND a.kind = p_kind AND a.population = p.population AND a.date = p_day OFFSET 0) u;
END
$$;

REVOKE ALL ON FUNCTION tallymill.unique_rows(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unique_rows(text, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
