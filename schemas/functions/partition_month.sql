-- The month whose bounds a table partition has; NULL: none, or not exactly one (UTC).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.partition_month(p_leaf oid) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET standard_conforming_strings = on
AS $$
DECLARE
  words constant text[] := (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM [(]''([^'']+)''[)] TO [(]''([^'']+)''[)]$')
                            FROM pg_class c WHERE c.oid = p_leaf);
  first constant timestamp := words[1]::timestamptz AT TIME ZONE 'UTC';
BEGIN
  RETURN CASE WHEN first = date_trunc('month', first) AND words[2]::timestamptz AT TIME ZONE 'UTC' = first + interval '1 month' THEN first::date END;
END
$$;

REVOKE ALL ON FUNCTION tallymill.partition_month(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.partition_month(oid) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
