-- Hourly: deltas that nobody will ask for any more, because an aggregator of an older release folded their batches. A table that has grown to its limit is
-- emptied whole, whatever it holds, or it would stay so until vacuum can cut it; the batches that still wait are then read from their rows.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.drop_folded_deltas() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_table_size('tallymill.deltas') >= 268435456 THEN
    TRUNCATE tallymill.deltas;
  ELSE
    DELETE FROM tallymill.deltas d WHERE d.batch_id NOT IN (SELECT tallymill.unfolded_batches());
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.drop_folded_deltas() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.drop_folded_deltas() TO tallymill_aggregate;

RESET ROLE;
