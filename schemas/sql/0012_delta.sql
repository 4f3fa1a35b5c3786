-- Deltas: what each batch adds to the daily statistics (common/delta.h), written in the batch's transaction, so that the aggregator need not read its
-- rows back. Gone once they are folded. Runs in psql as it stands, after 0011.
--
-- Only a shortcut. A batch without a delta is read from its rows: that of an older worker, of a server that went down (the table is unlogged: no WAL,
-- and empty after a crash or a failover), of a worker while more than 256 MB wait because no aggregator runs, or while somebody's BEFORE trigger
-- may change the rows on their way into the table.

SET ROLE tallymill_admin;

CREATE UNLOGGED TABLE tallymill.deltas (
  batch_id bigint PRIMARY KEY,
  delta    bytea NOT NULL
);
-- Session ids are random: compressing them would cost time and gain nothing. Bloat is small and short-lived, and so is a vacuum of it.
ALTER TABLE tallymill.deltas ALTER COLUMN delta SET STORAGE EXTERNAL;

CREATE FUNCTION tallymill.add_delta(p_batch_id bigint, p_delta bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF pg_table_size('tallymill.deltas') < 268435456
     AND NOT EXISTS (SELECT FROM pg_trigger t
                     WHERE t.tgrelid IN (SELECT 'public.analytics_events'::regclass
                                         UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'public.analytics_events'::regclass)
                       AND t.tgtype & 3 = 3 AND NOT t.tgisinternal) THEN
    INSERT INTO tallymill.deltas (batch_id, delta) VALUES (p_batch_id, p_delta);
  END IF;
END
$$;

-- The deltas of these batches. One index probe each, whatever the planner thinks of a table that is nearly always empty.
CREATE FUNCTION tallymill.read_deltas(p_batch_ids bigint[]) RETURNS TABLE (batch_id bigint, delta bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
  RETURN QUERY SELECT d.batch_id, d.delta
    FROM unnest(p_batch_ids) AS b (id) CROSS JOIN LATERAL (SELECT * FROM tallymill.deltas t WHERE t.batch_id = b.id OFFSET 0) d;
END
$$;

-- They are folded.
CREATE FUNCTION tallymill.drop_deltas(p_batch_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  DELETE FROM tallymill.deltas d WHERE d.batch_id = ANY (p_batch_ids);
END
$$;

-- Deltas that nobody will ask for any more: an aggregator of an older release folded their batches.
CREATE FUNCTION tallymill.drop_folded_deltas() RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  DELETE FROM tallymill.deltas d WHERE NOT EXISTS (SELECT FROM tallymill.unfolded u WHERE u.batch_id = d.batch_id);
END
$$;

GRANT SELECT, DELETE ON tallymill.deltas TO tallymill_aggregate;
REVOKE ALL ON FUNCTION tallymill.add_delta(bigint, bytea), tallymill.read_deltas(bigint[]), tallymill.drop_deltas(bigint[]),
  tallymill.drop_folded_deltas() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.add_delta(bigint, bytea) TO tallymill_ingest;
GRANT EXECUTE ON FUNCTION tallymill.read_deltas(bigint[]), tallymill.drop_deltas(bigint[]), tallymill.drop_folded_deltas() TO tallymill_aggregate;

RESET ROLE;
