-- Adds to rows of analytics_daily_uniques, given as numbers (unique_rows says which; days since 1970). A row that comes to nothing goes. Within a transaction a row may be
-- below zero, at its end none is (end_uniques). The rows are read once, by their key, and what is written is compared with what they were to be (kept_out says why). Whoever changes the matrix has
-- changed tallymill.unique_state first, so nobody else does meanwhile. (Hash joins are off, or a plan that was made while the table was small reads all of it for ever.)

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.change_uniques(p_kind text, p_bits integer[], p_populations integer[], p_days integer[], p_previous integer[], p_keys bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
  subjects text[];
  populations text[];
  dates date[];
  previous date[];
  sums bigint[];
  ends integer;
  wanted bigint;
  written bigint;
BEGIN
  SELECT array_agg(s.subject), array_agg((ARRAY['external', 'internal', 'all'])[g.population + 1]), array_agg(date '1970-01-01' + g.day),
         array_agg(CASE WHEN g.previous = -2147483648 THEN date '-infinity' ELSE date '1970-01-01' + g.previous END), array_agg(g.keys)
    INTO subjects, populations, dates, previous, sums
    FROM unnest(p_bits, p_populations, p_days, p_previous, p_keys) AS g (bit, population, day, previous, keys)
    JOIN tallymill.unique_subjects s ON s.bit = g.bit;
  IF coalesce(cardinality(subjects), 0) <> cardinality(p_bits) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = 'uniques were counted of a subject that nobody defined';
  END IF;
  -- In a query of its own, so that all five columns of the key are looked up in the index.
  SELECT array_agg(g.subject), array_agg(g.population), array_agg(g.date), array_agg(g.previous_date), array_agg(coalesce(u.keys, 0) + g.keys), count(*) FILTER (WHERE u.keys = -g.keys)
    INTO subjects, populations, dates, previous, sums, ends
    FROM unnest(subjects, populations, dates, previous, sums) AS g (subject, population, date, previous_date, keys)
    LEFT JOIN public.analytics_daily_uniques u ON u.subject = g.subject AND u.kind = p_kind AND u.population = g.population AND u.date = g.date AND u.previous_date = g.previous_date;
  WITH put AS (
    INSERT INTO public.analytics_daily_uniques AS u (subject, kind, population, date, previous_date, keys)
      SELECT g.subject, p_kind, g.population, g.date, g.previous_date, g.keys
      FROM unnest(subjects, populations, dates, previous, sums) AS g (subject, population, date, previous_date, keys) WHERE g.keys <> 0
      ON CONFLICT (subject, kind, population, date, previous_date) DO UPDATE SET keys = excluded.keys
      RETURNING u.keys
  )
  SELECT coalesce(sum(p.keys), 0), (SELECT coalesce(sum(s), 0) FROM unnest(sums) AS s) INTO written, wanted FROM put p;
  IF written <> wanted THEN
    PERFORM tallymill.kept_out('public.analytics_daily_uniques', cardinality(p_bits), 0);
  END IF;
  IF ends > 0 THEN
    DELETE FROM public.analytics_daily_uniques u USING unnest(subjects, populations, dates, previous, sums) AS g (subject, population, date, previous_date, keys)
      WHERE g.keys = 0 AND u.subject = g.subject AND u.kind = p_kind AND u.population = g.population AND u.date = g.date AND u.previous_date = g.previous_date;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> ends THEN
      PERFORM tallymill.kept_out('public.analytics_daily_uniques', ends, written);
    END IF;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.change_uniques(text, integer[], integer[], integer[], integer[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
