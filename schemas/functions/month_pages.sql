-- How many pages a month's table has; NULL: it has none of its own.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_pages(p_month date) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT pg_relation_size(c.oid) / current_setting('block_size')::integer FROM pg_class c
          WHERE c.oid = tallymill.month_table(p_month) AND c.relkind = 'r');
END
$$;

REVOKE ALL ON FUNCTION tallymill.month_pages(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.month_pages(date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
