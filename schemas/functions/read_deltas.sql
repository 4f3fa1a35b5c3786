-- The deltas of these batches, by one index probe each: its statistics say nothing of a table that fills and empties each second.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.read_deltas(p_batch_ids bigint[]) RETURNS TABLE (batch_id bigint, delta bytea)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  RETURN QUERY SELECT d.batch_id, d.delta
    FROM unnest(p_batch_ids) AS b (id) CROSS JOIN LATERAL (SELECT * FROM tallymill.deltas t WHERE t.batch_id = b.id OFFSET 0) d;
END
$$;

REVOKE ALL ON FUNCTION tallymill.read_deltas(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.read_deltas(bigint[]) TO tallymill_aggregate;

RESET ROLE;
