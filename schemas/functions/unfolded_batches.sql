-- Ids of the batches beyond `folded`. A function, not a view: its plan goes by index whatever the statistics say of the ledger, and whoever joins
-- with it is told so many rows and hashes them. (The planner takes the view for one row, and reads it once for each event: 185,000 ledger rows made
-- a rollup of today run for minutes.)

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.unfolded_batches() RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
BEGIN
  RETURN QUERY SELECT u.batch_id FROM tallymill.unfolded u;
END
$$;

REVOKE ALL ON FUNCTION tallymill.unfolded_batches() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unfolded_batches() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
