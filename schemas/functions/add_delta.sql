-- Keeps what a batch adds to the daily statistics (common/delta.h, which also says which batches have none), unless rows may become others on their way into the table or
-- visible later than the ledger (Citus), or the table has grown to 256 MB: no aggregator empties it, or an old snapshot keeps vacuum from doing so.
-- A trigger may make other rows than were sent (has_insert_trigger): then the rows are read.
-- A delta is written once, by the transaction that commits its batch. The id of a batch is known to the session that drew it last: a worker draws it when its transaction begins,
-- and draws another with the fence, so that from the commit on nobody holds it. Refused (TM004): another session's id, and a second delta.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.add_delta(p_batch_id bigint, p_delta bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  IF currval('tallymill.batch_ids') <> p_batch_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the delta of batch %s is written by the transaction that commits it', p_batch_id);
  END IF;
  IF pg_table_size('tallymill.deltas') < 268435456
     AND NOT tallymill.has_insert_trigger()
     AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'citus') THEN
    INSERT INTO tallymill.deltas (batch_id, delta) VALUES (p_batch_id, p_delta) ON CONFLICT DO NOTHING;
    IF NOT FOUND AND EXISTS (SELECT FROM tallymill.deltas d WHERE d.batch_id = p_batch_id) THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('batch %s has its delta', p_batch_id);
    END IF;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.add_delta(bigint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.add_delta(bigint, bytea) TO tallymill_ingest;

RESET ROLE;
