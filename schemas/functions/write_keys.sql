-- Keeps one part of a day's keys, of this run. end_uniques() drops those of the run before.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.write_keys(p_day date, p_kind text, p_run bigint, p_part integer, p_next_part integer, p_keys bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tallymill.day_keys (day, kind, run, part, next_part, keys) VALUES (p_day, p_kind, p_run, p_part, p_next_part, p_keys);
  IF NOT EXISTS (SELECT FROM tallymill.day_keys k WHERE k.day = p_day AND k.kind = p_kind AND k.run = p_run AND k.part = p_part
                   AND k.next_part = p_next_part AND k.keys = p_keys) THEN
    PERFORM tallymill.kept_out('tallymill.day_keys', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.write_keys(date, text, bigint, integer, integer, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.write_keys(date, text, bigint, integer, integer, bytea) TO tallymill_aggregate;

RESET ROLE;
