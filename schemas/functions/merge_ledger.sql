-- The ledger stays small: one step of the merge. From batch id p_from on, the next p_rows ledger rows or so become one row for each topic partition, all over the same
-- interval of batches, so that rows can still be counted against it. Where to go on, NULL: at the end; widened is how many rows became fewer.
-- What it deletes and what it writes instead say the same, or TM010 (kept_out). What was stored each minute goes to tallymill.rates.
--
-- Only batches of a quarter of an hour ago or more: no batch's transaction lives that long (a worker gives it ten minutes), so no id inside the interval is
-- still to come. If one came all the same (a clock was set) it would stay a row of its own, in nobody's way. In every topic partition the interval is a run
-- of offsets without a hole: it ends before a gap, and before a batch whose neighbour by offset lies beyond it by id. The last anchor of a topic partition
-- stays with its last row.
-- The leader's row is locked, as in every cycle: 40001 is the answer to whoever does not lead any more.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.merge_ledger(p_epoch bigint, p_from bigint, p_rows integer, OUT next_id bigint, OUT widened bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
  cutoff constant timestamptz := clock_timestamp() - interval '15 minutes';
  held bigint;
  first_id bigint;
  last_id bigint;
  beyond bigint;
  around bigint;
  torn bigint;
  sums record;
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

  WITH asked AS (
    SELECT count(*) AS rows
    FROM tallymill.batches b JOIN tallymill.folded f ON f.topic = b.topic AND f.topic_partition = b.topic_partition AND b.next_offset <= f.next_offset
    WHERE b.batch_id = b.last_batch_id AND b.batch_id BETWEEN first_id AND last_id AND b.committed_at <= cutoff
  ), gone AS (
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
    RETURNING *
  ), counted AS (
    SELECT date_trunc('minute', g.committed_at, 'UTC') AS minute, g.topic, sum(g.stored) AS stored, sum(g.duplicates) AS duplicates, sum(g.dead_letters) AS dead_letters,
           sum(g.skipped) AS skipped, count(DISTINCT g.batch_id) AS batches
    FROM gone g GROUP BY 1, 2
  ), rated AS (
    INSERT INTO tallymill.rates AS r (minute, topic, stored, duplicates, dead_letters, skipped, batches) SELECT * FROM counted
    ON CONFLICT (minute, topic) DO UPDATE SET stored = r.stored + excluded.stored, duplicates = r.duplicates + excluded.duplicates,
      dead_letters = r.dead_letters + excluded.dead_letters, skipped = r.skipped + excluded.skipped, batches = r.batches + excluded.batches
    RETURNING 1
  )
  SELECT a.rows AS asked, g.rows AS gone, g.groups, w.rows AS wide, g.said = w.said AS agree, (SELECT count(*) FROM counted) AS minutes, (SELECT count(*) FROM rated) AS rated INTO sums
  FROM asked a,
       (SELECT count(*) AS rows, count(DISTINCT (g.topic, g.topic_partition)) AS groups,
               ROW (sum(g.next_offset - g.first_offset), sum(g.stored), sum(g.duplicates), sum(g.dead_letters), sum(g.skipped)) AS said FROM gone g) g,
       (SELECT count(*) AS rows,
               ROW (sum(w.next_offset - w.first_offset), sum(w.stored), sum(w.duplicates), sum(w.dead_letters), sum(w.skipped)) AS said FROM wide w) w;
  IF sums.gone <> sums.asked OR sums.wide <> sums.groups OR NOT sums.agree THEN
    PERFORM tallymill.kept_out('tallymill.batches', sums.asked + sums.groups, sums.gone + sums.wide);
  END IF;
  IF sums.rated <> sums.minutes THEN
    PERFORM tallymill.kept_out('tallymill.rates', sums.minutes, sums.rated);
  END IF;
  DELETE FROM tallymill.rates r WHERE r.minute < clock_timestamp() - interval '400 days';
  widened := sums.gone - sums.wide;
END
$$;

REVOKE ALL ON FUNCTION tallymill.merge_ledger(bigint, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.merge_ledger(bigint, bigint, integer) TO tallymill_aggregate;

RESET ROLE;
