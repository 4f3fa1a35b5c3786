-- The versions of days go up by one each; whoever kept one from it would keep the day's rollups as they are. A day that has a version has its row in tallymill.days, or nothing
-- would be computed of it: one of internal events alone is made known here, by nothing else. (0001-01-01 is no day of events: kept_keys says what it is.)

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.raise_versions(p_days date[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  before bigint;
  behind bigint;
  new_days date[];
  known bigint;
BEGIN
  SELECT coalesce(sum(c.version), 0) INTO before FROM tallymill.changes c WHERE c.day = ANY (p_days);
  WITH raised AS (
    INSERT INTO tallymill.changes AS c (day, version) SELECT d, 1 FROM unnest(p_days) AS d
    ON CONFLICT (day) DO UPDATE SET version = c.version + 1 RETURNING c.day, c.version
  )
  SELECT array_agg(r.day) INTO new_days FROM raised r WHERE r.version = 1 AND r.day > date '0001-01-01';
  SELECT coalesce(sum(c.version), 0) INTO behind FROM tallymill.changes c WHERE c.day = ANY (p_days);
  IF behind <> before + cardinality(p_days) THEN
    PERFORM tallymill.kept_out('tallymill.changes', cardinality(p_days), greatest(0, behind - before));
  END IF;
  IF new_days IS NOT NULL THEN
    INSERT INTO tallymill.days (day) SELECT d FROM unnest(new_days) AS d ON CONFLICT (day) DO NOTHING;
    SELECT count(*) INTO known FROM tallymill.days d WHERE d.day = ANY (new_days);
    IF known <> cardinality(new_days) THEN
      PERFORM tallymill.kept_out('tallymill.days', cardinality(new_days), known);
    END IF;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.raise_versions(date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.raise_versions(date[]) TO tallymill_aggregate;

RESET ROLE;
