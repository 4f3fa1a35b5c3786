-- A day's rows of analytics_daily_uniques as numbers: the subject's bit, the population (0 external, 1 internal, 2 all), the previous day since 1970 (-2147483648: none).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.unique_rows(p_kind text, p_day date)
RETURNS TABLE (subject_bit integer, population integer, previous integer, keys bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
    SELECT s.bit, array_position(ARRAY['external', 'internal', 'all'], u.population) - 1,
           CASE WHEN u.previous_date = '-infinity' THEN -2147483648 ELSE u.previous_date - date '1970-01-01' END, u.keys
    FROM tallymill.unique_subjects s
    CROSS JOIN LATERAL (SELECT * FROM public.analytics_daily_uniques a
                        WHERE a.subject = s.subject AND a.kind = p_kind AND a.population IN ('external', 'internal', 'all') AND a.date = p_day) u;
END
$$;

REVOKE ALL ON FUNCTION tallymill.unique_rows(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unique_rows(text, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
