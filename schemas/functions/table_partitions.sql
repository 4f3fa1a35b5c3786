-- The table partitions of analytics_events, by the catalogue of now. month: NULL, its bounds are not exactly those of one month (UTC); DEFAULT has none.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.table_partitions()
RETURNS TABLE (leaf regclass, owner name, kind "char", month date, bounds text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.oid::regclass, pg_get_userbyid(c.relowner), c.relkind, tallymill.partition_month(c.oid), pg_get_expr(c.relpartbound, c.oid)
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
$$;

REVOKE ALL ON FUNCTION tallymill.table_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.table_partitions() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
