-- Whether a whole step of p_rows may be merged by now, before the next pass is due: asked every ten seconds, by one walk over so many entries of an index.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.is_worth_merging(p_rows integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
  RETURN coalesce((SELECT b.committed_at FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id > 0 ORDER BY b.batch_id OFFSET p_rows LIMIT 1)
                  <= clock_timestamp() - interval '15 minutes', false);
END
$$;

REVOKE ALL ON FUNCTION tallymill.is_worth_merging(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.is_worth_merging(integer) TO tallymill_aggregate;

RESET ROLE;
