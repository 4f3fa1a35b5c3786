-- A day was rebuilt. Its version goes up whatever its statistics were: a row may have changed in what they do not count.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.note_rebuilt(p_day date, p_is_over boolean, p_took_us bigint, p_foreign_rows bigint, p_foreign_hash bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM tallymill.raise_versions(ARRAY[p_day]);
  INSERT INTO tallymill.days AS d (day, closed_at, rebuilt_at, rebuild_us, foreign_rows, foreign_hash)
    VALUES (p_day, CASE WHEN p_is_over THEN clock_timestamp() END, clock_timestamp(), p_took_us, p_foreign_rows, p_foreign_hash)
    ON CONFLICT (day) DO UPDATE
    SET closed_at = coalesce(d.closed_at, excluded.closed_at), dirty_since = NULL, dirty_reason = NULL, rebuilt_at = excluded.rebuilt_at,
        rebuild_us = excluded.rebuild_us, foreign_rows = excluded.foreign_rows, foreign_hash = excluded.foreign_hash;
  IF NOT EXISTS (SELECT FROM tallymill.days d WHERE d.day = p_day AND d.dirty_since IS NULL AND (d.closed_at IS NOT NULL OR NOT p_is_over)
                   AND d.foreign_rows IS NOT DISTINCT FROM p_foreign_rows AND d.foreign_hash IS NOT DISTINCT FROM p_foreign_hash) THEN
    PERFORM tallymill.kept_out('tallymill.days', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.note_rebuilt(date, boolean, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.note_rebuilt(date, boolean, bigint, bigint, bigint) TO tallymill_aggregate;

RESET ROLE;
