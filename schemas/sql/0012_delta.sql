-- Deltas: what each batch adds to the daily statistics (common/delta.h, which also says which batches have none), written in the batch's
-- transaction, so that the aggregator need not read its rows back. Gone once they are folded. Runs in psql as it stands, after 0011.

SET ROLE tallymill_admin;

-- Unlogged: no WAL, and empty after a crash or a failover; then the rows are read.
CREATE UNLOGGED TABLE tallymill.deltas (
  batch_id bigint PRIMARY KEY,
  delta    bytea NOT NULL
);
-- Session ids are random: compressing them would cost time and gain nothing.
ALTER TABLE tallymill.deltas ALTER COLUMN delta SET STORAGE EXTERNAL;

-- Keeps a batch's delta, unless rows may become others on their way into the table (a trigger) or visible later than the ledger (Citus), or
-- the table has grown to 256 MB: no aggregator empties it, or an old snapshot keeps vacuum from doing so.
CREATE FUNCTION tallymill.add_delta(p_batch_id bigint, p_delta bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_table_size('tallymill.deltas') < 268435456
     AND NOT EXISTS (SELECT FROM pg_trigger t
                     WHERE t.tgrelid IN (SELECT 'public.analytics_events'::regclass
                                         UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'public.analytics_events'::regclass)
                       AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D' AND NOT t.tgisinternal)
     AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'citus') THEN
    INSERT INTO tallymill.deltas AS d (batch_id, delta) VALUES (p_batch_id, p_delta)
    ON CONFLICT (batch_id) DO UPDATE SET delta = excluded.delta;
  END IF;
END
$$;

-- The deltas of these batches, by one index probe each: its statistics say nothing of a table that fills and empties each second.
CREATE FUNCTION tallymill.read_deltas(p_batch_ids bigint[]) RETURNS TABLE (batch_id bigint, delta bytea)
LANGUAGE plpgsql STABLE SET enable_seqscan = off
AS $$
BEGIN
  RETURN QUERY SELECT d.batch_id, d.delta
    FROM unnest(p_batch_ids) AS b (id) CROSS JOIN LATERAL (SELECT * FROM tallymill.deltas t WHERE t.batch_id = b.id OFFSET 0) d;
END
$$;

-- They are folded.
CREATE FUNCTION tallymill.drop_deltas(p_batch_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off
AS $$
BEGIN
  DELETE FROM tallymill.deltas d WHERE d.batch_id = ANY (p_batch_ids);
END
$$;

-- Hourly: deltas that nobody will ask for any more, because an aggregator of an older release folded their batches. A table that has grown to its limit is
-- emptied whole, whatever it holds, or it would stay so until vacuum can cut it; the batches that still wait are then read from their rows.
CREATE FUNCTION tallymill.drop_folded_deltas() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_table_size('tallymill.deltas') >= 268435456 THEN
    TRUNCATE tallymill.deltas;
  ELSE
    DELETE FROM tallymill.deltas d WHERE NOT EXISTS (SELECT FROM tallymill.unfolded u WHERE u.batch_id = d.batch_id);
  END IF;
END
$$;

GRANT SELECT, DELETE ON tallymill.deltas TO tallymill_aggregate;
REVOKE ALL ON FUNCTION tallymill.add_delta(bigint, bytea), tallymill.read_deltas(bigint[]), tallymill.drop_deltas(bigint[]),
  tallymill.drop_folded_deltas() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.add_delta(bigint, bytea) TO tallymill_ingest;
GRANT EXECUTE ON FUNCTION tallymill.read_deltas(bigint[]), tallymill.drop_deltas(bigint[]), tallymill.drop_folded_deltas() TO tallymill_aggregate;

RESET ROLE;
