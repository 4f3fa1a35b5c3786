-- For a proof that is read in one snapshot: from here to the end of the transaction no month leaves analytics_events, nor is one dropped that has left. False: one did between the snapshot
-- and this call, so that the snapshot shows rows that nobody reads any more; begin again with another.
-- Postgres plans by the catalogue of now, whatever the snapshot shows: without this, the rows of a month that leaves while all rows are counted would be missing.
-- ACCESS SHARE, as any reader of the table has: workers go on, and a detach waits as it waits for any reader.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.hold_months() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  leaf text;
BEGIN
  LOCK TABLE ONLY public.analytics_events IN ACCESS SHARE MODE;
  FOR leaf IN -- those that were there: pg_class is read by the snapshot
    SELECT m.leaf::regclass::text FROM tallymill.month_leaves m
    WHERE m.leaf IS NOT NULL AND m.state = 'detaching' AND NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month)
  LOOP
    BEGIN
      EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', leaf);
    EXCEPTION WHEN undefined_table OR syntax_error THEN -- syntax_error: the name of what is gone is a number
      RETURN false;
    END;
  END LOOP;
  RETURN NOT EXISTS (SELECT FROM tallymill.attached_months a
                     WHERE pg_partition_root(tallymill.month_table(a.month)) IS DISTINCT FROM 'public.analytics_events'::regclass);
END
$$;

REVOKE ALL ON FUNCTION tallymill.hold_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.hold_months() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
