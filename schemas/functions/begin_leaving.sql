-- A month begins to leave: what comes for it from here on is a dead letter, until it is restored. What was committed into it since it was written out is found by drop_month.
-- Its users are remembered here, while it can still be read, so that the time in which its rows are nowhere is short: a look at its rows less. Too early does no harm, for whoever asks takes the
-- earlier of both.
-- TM006: it is not so that this month may leave.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.begin_leaving(p_month date, p_generation integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  IF NOT EXISTS (SELECT FROM tallymill.archives a WHERE a.month = p_month AND a.generation = p_generation AND (a.state = 'proven' OR a.target = 'none')) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('no proven archive %s of month %s is in the books', p_generation, to_char(p_month::timestamp, 'YYYY-MM'));
  END IF;
  UPDATE tallymill.months m SET state = 'detaching', changed_at = clock_timestamp() WHERE m.month = p_month AND m.state IN ('open', 'restored');
  IF NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = p_month AND m.state = 'detaching') THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
  EXECUTE format('INSERT INTO tallymill.first_seen AS f (user_id, first_at)
                    SELECT e.user_id, min(e.created_at) FROM %s e WHERE e.user_id IS NOT NULL AND NOT e.is_internal GROUP BY e.user_id
                  ON CONFLICT (user_id) DO UPDATE SET first_at = excluded.first_at WHERE excluded.first_at < f.first_at', tallymill.month_table(p_month));
  EXECUTE format('INSERT INTO tallymill.first_seen_internal AS f (user_id, first_at)
                    SELECT e.user_id, min(e.created_at) FROM %s e WHERE e.user_id IS NOT NULL AND e.is_internal GROUP BY e.user_id
                  ON CONFLICT (user_id) DO UPDATE SET first_at = excluded.first_at WHERE excluded.first_at < f.first_at', tallymill.month_table(p_month));
END
$$;

REVOKE ALL ON FUNCTION tallymill.begin_leaving(date, integer) FROM PUBLIC;

RESET ROLE;
