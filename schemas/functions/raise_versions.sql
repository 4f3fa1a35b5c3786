-- The versions of days go up by one each; whoever kept one from it would keep the day's rollups as they are.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.raise_versions(p_days date[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before bigint;
  behind bigint;
BEGIN
  SELECT coalesce(sum(c.version), 0) INTO before FROM tallymill.changes c WHERE c.day = ANY (p_days);
  INSERT INTO tallymill.changes AS c (day, version) SELECT d, 1 FROM unnest(p_days) AS d
  ON CONFLICT (day) DO UPDATE SET version = c.version + 1;
  SELECT coalesce(sum(c.version), 0) INTO behind FROM tallymill.changes c WHERE c.day = ANY (p_days);
  IF behind <> before + cardinality(p_days) THEN
    PERFORM tallymill.kept_out('tallymill.changes', cardinality(p_days), greatest(0, behind - before));
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.raise_versions(date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.raise_versions(date[]) TO tallymill_aggregate;

RESET ROLE;
