-- What the aggregator asks of the books: its work list, the rows of other programs, the tail of a month's batch index, and how a
-- standby sees that the leader is gone. Runs in psql as it stands, after 0004.

SET ROLE tallymill_admin;

-- A standby takes over when the leader's session is gone, or when neither seen_at nor its transaction has moved for a while. The session is
-- named by pid and start, and only when no pooler stands between (there the pid would be of a connection that others use too).
ALTER TABLE tallymill.leader
  ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN backend_pid integer,
  ADD COLUMN backend_start timestamptz;

-- The batches that the daily statistics have not taken in: one row for each topic partition of a batch, in order of offsets there.
-- `place` numbers the topic partitions as tallymill.places does. OFFSET 0 keeps the planner on one index range a topic partition.
CREATE VIEW tallymill.places AS
  SELECT row_number() OVER (ORDER BY o.topic, o.topic_partition)::integer - 1 AS place, o.topic, o.topic_partition,
         coalesce(f.next_offset, 0) AS next_offset
  FROM tallymill.owners o LEFT JOIN tallymill.folded f USING (topic, topic_partition);

CREATE VIEW tallymill.unfolded AS
  SELECT p.place, p.topic, p.topic_partition, b.batch_id, b.last_batch_id, b.first_offset, b.next_offset, b.stored, b.days
  FROM tallymill.places p CROSS JOIN LATERAL (
    SELECT * FROM tallymill.batches b
    WHERE b.topic = p.topic AND b.topic_partition = p.topic_partition AND b.first_offset >= p.next_offset
    ORDER BY b.first_offset OFFSET 0) b;

-- The rows that other programs inserted, by UTC day, as a count and a hash that no order changes: two looks that agree saw the same rows.
-- A plain SQL function, so that the planner sees the range and reads one month's partial index.
CREATE FUNCTION tallymill.foreign_rows(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (day date, rows bigint, hash bigint)
LANGUAGE sql STABLE
AS $$
  SELECT (e.created_at AT TIME ZONE 'UTC')::date, count(*), bit_xor(uuid_hash_extended(e.id, 0))
  FROM public.analytics_events e
  WHERE e.batch_id IS NULL AND e.created_at >= p_from AND e.created_at < p_to
  GROUP BY 1
$$;

-- Brings the batch index of a month up to its last page, from page p_page on; the number of pages it has seen, to be given next time.
-- NULL: not now, a vacuum of that month is at work. The wait is far shorter than deadlock_timeout, or asking twice a second would cancel every autovacuum.
-- Page ranges that are summarised stay so, inserts keep them; a walk over all of them (brin_summarize_new_values) takes 0.5 us each.
CREATE FUNCTION tallymill.summarize_tail(p_month date, p_page bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms'
AS $$
DECLARE
  leaf regclass := to_regclass('public.analytics_events_' || to_char(p_month, 'YYYY_MM'));
  pages bigint := pg_relation_size(leaf) / current_setting('block_size')::integer;
  pages_per_range constant bigint := 32; -- as in 0001
  batch_index regclass;
BEGIN
  SELECT i.indexrelid INTO batch_index
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE i.indrelid = leaf AND a.amname = 'brin';
  IF batch_index IS NULL THEN
    RETURN NULL;
  ELSIF p_page IS NULL OR p_page > pages THEN
    PERFORM brin_summarize_new_values(batch_index);
  ELSE
    FOR page IN (p_page - p_page % pages_per_range) .. (pages - 1) BY pages_per_range LOOP
      PERFORM brin_summarize_range(batch_index, page);
    END LOOP;
  END IF;
  RETURN pages;
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION tallymill.foreign_rows(timestamptz, timestamptz), tallymill.summarize_tail(date, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.foreign_rows(timestamptz, timestamptz) TO tallymill_aggregate, tallymill_read;
GRANT EXECUTE ON FUNCTION tallymill.summarize_tail(date, bigint) TO tallymill_aggregate;
GRANT SELECT ON tallymill.places, tallymill.unfolded TO tallymill_aggregate, tallymill_read;

RESET ROLE;
