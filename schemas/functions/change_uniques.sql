-- Adds to rows of analytics_daily_uniques, given as numbers (unique_rows says which; days since 1970). A row that comes to nothing goes. Within a transaction a row may be
-- below zero, at its end none is (end_uniques). What it wrote it reads again (kept_out says why).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.change_uniques(p_kind text, p_bits integer[], p_populations integer[], p_days integer[], p_previous integer[], p_keys bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  subjects text[];
  populations text[];
  dates date[];
  previous date[];
  before numeric;
  behind numeric;
BEGIN
  SELECT array_agg(s.subject ORDER BY g.place), array_agg((ARRAY['external', 'internal', 'all'])[g.population + 1] ORDER BY g.place),
         array_agg(date '1970-01-01' + g.day ORDER BY g.place),
         array_agg(CASE WHEN g.previous = -2147483648 THEN date '-infinity' ELSE date '1970-01-01' + g.previous END ORDER BY g.place)
    INTO subjects, populations, dates, previous
    FROM unnest(p_bits, p_populations, p_days, p_previous) WITH ORDINALITY AS g (bit, population, day, previous, place)
    JOIN tallymill.unique_subjects s ON s.bit = g.bit;
  IF coalesce(cardinality(subjects), 0) <> cardinality(p_bits) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'uniques were counted of a subject that nobody defined';
  END IF;
  SELECT coalesce(sum(u.keys), 0) INTO before FROM unnest(subjects, populations, dates, previous) AS g (subject, population, date, previous_date)
    JOIN public.analytics_daily_uniques u ON u.subject = g.subject AND u.kind = p_kind AND u.population = g.population AND u.date = g.date AND u.previous_date = g.previous_date;
  INSERT INTO public.analytics_daily_uniques AS u (subject, kind, population, date, previous_date, keys)
    SELECT g.subject, p_kind, g.population, g.date, g.previous_date, g.keys
    FROM unnest(subjects, populations, dates, previous, p_keys) AS g (subject, population, date, previous_date, keys)
    ON CONFLICT (subject, kind, population, date, previous_date) DO UPDATE SET keys = u.keys + excluded.keys;
  DELETE FROM public.analytics_daily_uniques u USING unnest(subjects, populations, dates, previous) AS g (subject, population, date, previous_date)
    WHERE u.subject = g.subject AND u.kind = p_kind AND u.population = g.population AND u.date = g.date AND u.previous_date = g.previous_date AND u.keys = 0;
  SELECT coalesce(sum(u.keys), 0) INTO behind FROM unnest(subjects, populations, dates, previous) AS g (subject, population, date, previous_date)
    JOIN public.analytics_daily_uniques u ON u.subject = g.subject AND u.kind = p_kind AND u.population = g.population AND u.date = g.date AND u.previous_date = g.previous_date;
  IF behind <> before + (SELECT sum(k) FROM unnest(p_keys) AS k) THEN
    PERFORM tallymill.kept_out('public.analytics_daily_uniques', cardinality(p_bits), 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
