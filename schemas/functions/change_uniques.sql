-- Adds to rows of analytics_daily_uniques, given as numbers (unique_rows says which; days since 1970). A row that comes to nothing goes. Within a transaction a row may be
-- below zero, at its end none is (end_uniques). Whoever changes the matrix has changed tallymill.unique_state first, so nobody else does meanwhile.
-- What is looked up is so by the whole key (LATERAL, LIMIT 1), and goes by its place: a join may become a plan, made while the table was small, that reads all of it for ever.
-- Where somebody's trigger or rule is on the table, the rows are read before and again: TM010 where they are not what they were to be (kept_out says why).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.change_uniques(p_kind text, p_bits integer[], p_populations integer[], p_days integer[], p_previous integer[], p_keys bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  subjects text[];
  populations text[];
  dates date[];
  previous date[];
  sums bigint[];
  at_nothing tid[];
  wrong bigint;
  is_watched constant boolean := tallymill.is_watched('public.analytics_daily_uniques');
BEGIN
  SELECT array_agg(s.subject), array_agg((ARRAY['external', 'internal', 'all'])[g.population + 1]), array_agg(date '1970-01-01' + g.day),
         array_agg(CASE WHEN g.previous = -2147483648 THEN date '-infinity' ELSE date '1970-01-01' + g.previous END), array_agg(g.keys)
    INTO subjects, populations, dates, previous, p_keys
    FROM unnest(p_bits, p_populations, p_days, p_previous, p_keys) AS g (bit, population, day, previous, keys)
    JOIN tallymill.unique_subjects s ON s.bit = g.bit;
  IF coalesce(cardinality(subjects), 0) <> cardinality(p_bits) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'uniques were counted of a subject that nobody defined';
  END IF;
  IF is_watched THEN
    SELECT array_agg(coalesce(u.keys, 0) + g.keys ORDER BY g.number) INTO sums
      FROM unnest(subjects, populations, dates, previous, p_keys) WITH ORDINALITY AS g (subject, population, date, previous_date, keys, number)
      LEFT JOIN LATERAL (
        SELECT h.keys FROM public.analytics_daily_uniques h
        WHERE h.subject = g.subject AND h.kind = p_kind AND h.population = g.population AND h.date = g.date AND h.previous_date = g.previous_date LIMIT 1) u ON true;
  END IF;
  WITH put AS (
    INSERT INTO public.analytics_daily_uniques AS u (subject, kind, population, date, previous_date, keys)
      SELECT g.subject, p_kind, g.population, g.date, g.previous_date, g.keys
      FROM unnest(subjects, populations, dates, previous, p_keys) AS g (subject, population, date, previous_date, keys)
      ON CONFLICT (subject, kind, population, date, previous_date) DO UPDATE SET keys = u.keys + excluded.keys
      RETURNING u.keys, u.ctid AS place
  )
  SELECT array_agg(p.place) INTO at_nothing FROM put p WHERE p.keys = 0;
  DELETE FROM public.analytics_daily_uniques u WHERE u.ctid = ANY (at_nothing);
  IF is_watched THEN
    SELECT count(*) INTO wrong
      FROM unnest(subjects, populations, dates, previous, sums) AS g (subject, population, date, previous_date, keys)
      LEFT JOIN LATERAL (
        SELECT h.keys FROM public.analytics_daily_uniques h
        WHERE h.subject = g.subject AND h.kind = p_kind AND h.population = g.population AND h.date = g.date AND h.previous_date = g.previous_date LIMIT 1) u ON true
      WHERE coalesce(u.keys, 0) <> g.keys;
    IF wrong > 0 THEN
      PERFORM tallymill.kept_out('public.analytics_daily_uniques', cardinality(sums), cardinality(sums) - wrong);
    END IF;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
