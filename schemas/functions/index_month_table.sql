-- Gives a month's table that was filled without them the keys and indexes of the parent, so that ATTACH need not make them (under the parent's lock, for which make_month waits).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.index_month_table(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET default_tablespace = ''
AS $$
DECLARE
  statement text;
BEGIN
  FOR statement IN
    SELECT CASE WHEN c.oid IS NOT NULL THEN format('ALTER TABLE %s ADD %s', p_table, pg_get_constraintdef(c.oid))
                ELSE regexp_replace(pg_get_indexdef(x.indexrelid), ' INDEX .* ON (ONLY )?[^ ]+ USING ', format(' INDEX ON %s USING ', p_table)) END
    FROM pg_index x LEFT JOIN pg_constraint c ON c.conindid = x.indexrelid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x')
    WHERE x.indrelid = 'public.analytics_events'::regclass ORDER BY x.indisprimary DESC, x.indexrelid
  LOOP
    EXECUTE statement;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.index_month_table(regclass) FROM PUBLIC;

RESET ROLE;
