-- Is a trigger or a rule on this table, which may change or keep out what is written? One that is switched off, or made for replicas alone, does nothing here.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.is_watched(p_table regclass) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A'))
      OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = p_table AND w.ev_type <> '1' AND w.ev_enabled IN ('O', 'A'));
END
$$;

REVOKE ALL ON FUNCTION tallymill.is_watched(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.is_watched(regclass) TO tallymill_aggregate;

RESET ROLE;
