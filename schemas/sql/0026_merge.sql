-- The merge of the ledger keeps up: a step costs what it merges, however large the ledger is. Runs in psql as it stands, after 0025.

SET ROLE tallymill_admin;

-- Rows that no merge has taken, in order of their ids; and intervals, by where they end.
CREATE INDEX batches_unmerged ON tallymill.batches (batch_id) WHERE batch_id = last_batch_id;
CREATE INDEX batches_merged ON tallymill.batches (last_batch_id) WHERE batch_id < last_batch_id;

-- One step of the merge: from batch id p_from on, the next p_rows ledger rows or so become one row for each topic partition, all over the same
-- interval of batches, so that rows can still be counted against it. Where to go on, NULL: at the end; widened is how many rows became fewer.
--
-- Only batches of a quarter of an hour ago or more: no batch's transaction lives that long (a worker gives it ten minutes), so no id inside the interval is
-- still to come. If one came all the same (a clock was set) it would stay a row of its own, in nobody's way. In every topic partition the interval is a run
-- of offsets without a hole: it ends before a gap, and before a batch whose neighbour by offset lies beyond it by id. The last anchor of a topic partition
-- stays with its last row.
-- The leader's row is locked, as in every cycle: 40001 is the answer to whoever does not lead any more.
CREATE OR REPLACE FUNCTION tallymill.merge_ledger(p_epoch bigint, p_from bigint, p_rows integer, OUT next_id bigint, OUT widened bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
  cutoff constant timestamptz := clock_timestamp() - interval '15 minutes';
  held bigint;
  first_id bigint;
  last_id bigint;
  beyond bigint;
  around bigint;
  torn bigint;
BEGIN
  widened := 0;
  SELECT l.epoch INTO held FROM tallymill.leader l WHERE pg_try_advisory_xact_lock(1952541804, 1) FOR UPDATE;
  IF held IS DISTINCT FROM p_epoch THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'only the leader merges the ledger';
  END IF;

  SELECT b.batch_id INTO first_id FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id >= p_from ORDER BY b.batch_id LIMIT 1;
  -- An interval that goes on over its begin.
  SELECT max(b.last_batch_id) INTO around FROM tallymill.batches b
    WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= first_id AND b.batch_id <= first_id;
  IF around IS NOT NULL THEN
    next_id := around + 1;
  END IF;
  IF first_id IS NULL OR around IS NOT NULL THEN
    RETURN;
  END IF;
  SELECT max(o.batch_id) INTO last_id
    FROM (SELECT b.batch_id FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id >= first_id ORDER BY b.batch_id LIMIT p_rows) o;
  -- What ends it: another interval, or the tail.
  SELECT min(b.batch_id) INTO beyond FROM tallymill.batches b
    WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= first_id AND b.batch_id BETWEEN first_id AND last_id;
  SELECT least(beyond, min(b.batch_id)) INTO beyond
    FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
    WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id
      AND (b.committed_at > cutoff OR b.next_offset > coalesce(f.next_offset, 0));
  IF beyond = first_id THEN
    RETURN;
  ELSIF beyond IS NOT NULL THEN
    SELECT b.batch_id INTO last_id FROM tallymill.batches b
      WHERE b.batch_id = b.last_batch_id AND b.batch_id >= first_id AND b.batch_id < beyond ORDER BY b.batch_id DESC LIMIT 1;
  END IF;
  FOR attempt IN 1 .. 16 LOOP
    SELECT min(greatest(r.batch_id, r.before_id)) INTO torn
      FROM (SELECT b.batch_id, b.first_offset, lag(b.batch_id) OVER runs AS before_id, lag(b.next_offset) OVER runs AS before_end
            FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id
            WINDOW runs AS (PARTITION BY b.topic, b.topic_partition ORDER BY b.first_offset)) r
      WHERE r.first_offset <> r.before_end;
    EXIT WHEN torn IS NULL;
    last_id := torn - 1;
  END LOOP;
  next_id := CASE WHEN torn IS NULL THEN last_id ELSE first_id END + 1;
  IF next_id - 1 = first_id THEN
    RETURN;
  END IF;

  WITH gone AS (
    DELETE FROM tallymill.batches b USING tallymill.folded f
    WHERE f.topic = b.topic AND f.topic_partition = b.topic_partition AND b.next_offset <= f.next_offset
      AND b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id AND b.committed_at <= cutoff
    RETURNING b.*
  ), named AS (
    SELECT g.topic, g.topic_partition, array_agg(DISTINCT d.day ORDER BY d.day) AS days
    FROM gone g CROSS JOIN LATERAL unnest(g.days) AS d (day) GROUP BY 1, 2
  ), wide AS (
    INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters,
                                   skipped, days, anchor_offset, anchor_hash, committed_at)
    SELECT first_id, last_id, g.topic, g.topic_partition, min(g.first_offset), max(g.next_offset), sum(g.stored), sum(g.duplicates),
           sum(g.dead_letters), sum(g.skipped), coalesce(min(n.days), '{}'),
           (array_agg(g.anchor_offset ORDER BY g.first_offset DESC) FILTER (WHERE g.anchor_offset IS NOT NULL))[1],
           (array_agg(g.anchor_hash ORDER BY g.first_offset DESC) FILTER (WHERE g.anchor_offset IS NOT NULL))[1], max(g.committed_at)
    FROM gone g LEFT JOIN named n USING (topic, topic_partition)
    GROUP BY g.topic, g.topic_partition
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM wide) INTO widened;
END
$$;

-- Whether a whole step of p_rows may be merged by now, before the next pass is due: asked every ten seconds, by one walk over so many entries of an index.
CREATE FUNCTION tallymill.is_worth_merging(p_rows integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
BEGIN
  RETURN coalesce((SELECT b.committed_at FROM tallymill.batches b WHERE b.batch_id = b.last_batch_id AND b.batch_id > 0 ORDER BY b.batch_id OFFSET p_rows LIMIT 1)
                  <= clock_timestamp() - interval '15 minutes', false);
END
$$;
REVOKE ALL ON FUNCTION tallymill.is_worth_merging(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.is_worth_merging(integer) TO tallymill_aggregate;

-- As in 0023; months by what the books say of them, since the bounds of a table partition are only told to who can lock it.
CREATE OR REPLACE FUNCTION tallymill.event_days(p_first date, p_last date) RETURNS SETOF date
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  leaf record;
BEGIN
  FOR leaf IN
    SELECT NULL::regclass AS name, a.month FROM tallymill.attached_months a
      WHERE a.month <= p_last AND (a.month + interval '1 month')::date > p_first
    UNION ALL
    SELECT c.oid::regclass, NULL FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending AND has_table_privilege(c.oid, 'SELECT')
        AND NOT EXISTS (SELECT FROM tallymill.months m WHERE m.leaf = c.oid
                          OR (m.leaf IS NULL AND c.relname = 'analytics_events_' || to_char(m.month::timestamp, 'YYYY_MM')))
  LOOP
    -- Through the parent, on which the reader has its rights; the month's limits are constants, so that no other month is looked at.
    RETURN QUERY EXECUTE format($q$
      WITH RECURSIVE found AS (
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L) AS at
        UNION ALL
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L
                  AND e.created_at >= date_trunc('day', f.at) + interval '1 day')
        FROM found f WHERE f.at IS NOT NULL
      )
      SELECT at::date FROM found WHERE at IS NOT NULL$q$,
      CASE WHEN leaf.month IS NULL THEN leaf.name::text ELSE 'public.analytics_events' END,
      greatest(leaf.month, p_first)::timestamptz, least((leaf.month + interval '1 month')::date, p_last + 1)::timestamptz);
  END LOOP;
END
$$;

RESET ROLE;
