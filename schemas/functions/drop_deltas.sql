-- Drops the deltas of batches that are folded.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.drop_deltas(p_batch_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  DELETE FROM tallymill.deltas d WHERE d.batch_id = ANY (p_batch_ids);
END
$$;

REVOKE ALL ON FUNCTION tallymill.drop_deltas(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.drop_deltas(bigint[]) TO tallymill_aggregate;

RESET ROLE;
