-- The rows of months that are being taken out: they are no part of analytics_events any more (or not for a new query, while the detach is pending), and not in removals yet. So whoever counts
-- rows against the ledger counts these too.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.detached_rows() RETURNS TABLE (batch_id bigint, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  leaf regclass;
BEGIN
  FOR leaf IN
    SELECT tallymill.month_table(m.month) FROM tallymill.months m
    WHERE m.state = 'detaching' AND NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month)
  LOOP
    IF has_table_privilege(leaf, 'SELECT') THEN -- NULL where the table is gone
      RETURN QUERY EXECUTE format('SELECT e.batch_id, count(*) FROM %s e WHERE e.batch_id IS NOT NULL GROUP BY 1', leaf);
    END IF;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.detached_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.detached_rows() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
