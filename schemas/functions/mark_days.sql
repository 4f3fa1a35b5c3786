-- Days wait for a rebuild; whoever marked one before keeps its time and reason.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.mark_days(p_days date[], p_reasons text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  waiting bigint;
BEGIN
  INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
    SELECT n.day, clock_timestamp(), min(n.reason) FROM unnest(p_days, p_reasons) AS n (day, reason) GROUP BY n.day
    ON CONFLICT (day) DO UPDATE SET dirty_since = excluded.dirty_since, dirty_reason = excluded.dirty_reason WHERE d.dirty_since IS NULL;
  SELECT count(*) INTO waiting FROM unnest(p_days) AS n (day) JOIN tallymill.days d ON d.day = n.day AND d.dirty_since IS NOT NULL;
  IF waiting <> cardinality(p_days) THEN
    PERFORM tallymill.kept_out('tallymill.days', cardinality(p_days), waiting);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.mark_days(date[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.mark_days(date[], text[]) TO tallymill_aggregate;

RESET ROLE;
