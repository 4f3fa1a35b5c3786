-- The first statement of a cycle's transaction: takes the cycle's lock and the leader's row, and reads the books. No row: another transaction
-- holds the lock. By kind, in this order (what a kind does not name is NULL):
--   0 the leader: batch_id its epoch, next_offset the time in us; the only row where that is another epoch than p_epoch (NULL: any will do)
--   1 an attached month: number its first day (since 1970); pages of its table in next_offset where p_months names it; stored 1: it is to be read by way of the parent
--   2 a day that waits, or is due for closing p_close_after its end: number, next_offset since when in us, reason
--   3 where a topic partition stands: number its place, in that order
--   4 at most p_limit ledger rows beyond · 5 the gaps beyond
-- A function, whose plans the session keeps, also behind a pooler: planned anew each time, what a cycle asks cost 2.5 ms of CPU, more than taking a thousand events in.
-- The plans are generic by order, here and in whatever a cycle or a batch calls each time: left to choose, Postgres went on planning some of them at every call for the values
-- at hand, which were the same plans (a fifth of the cycle's CPU in the backend).
-- The settings are the cycle's: its reads are one process' work, parallel workers and JIT would only add to its CPU. By index, whatever the statistics say of the
-- ledger: they know a table that grows all day as it was at the last ANALYZE, and a plan made for an almost empty ledger, kept by the session, reads all of it once for each
-- topic partition (seen: 1.2 ms of CPU a cycle at 2,000 rows, a fourth of the cycle).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.begin_cycle(p_epoch bigint, p_close_after interval, p_limit bigint, p_months date[])
RETURNS TABLE (kind integer, number integer, batch_id bigint, last_batch_id bigint, first_offset bigint, next_offset bigint, stored bigint,
               days date[], reason text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  held bigint;
BEGIN
  PERFORM set_config('statement_timeout', '0', true), set_config('lock_timeout', '10s', true),
          set_config('idle_in_transaction_session_timeout', '60s', true), set_config('client_connection_check_interval', '1s', true),
          set_config('timezone', 'UTC', true), set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true);
  SELECT l.epoch INTO held FROM tallymill.leader l WHERE pg_try_advisory_xact_lock(1952541804, 1) FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  kind := 0;
  batch_id := held;
  next_offset := extract(epoch FROM clock_timestamp()) * 1000000;
  RETURN NEXT;
  IF held <> p_epoch THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT 1, a.month - date '1970-01-01', NULL::bigint, NULL::bigint, NULL::bigint,
      CASE WHEN a.month = ANY (p_months) THEN tallymill.month_pages(a.month) END,
      (SELECT 1::bigint FROM tallymill.months m WHERE m.month = a.month AND m.leaf IS NOT NULL), NULL::date[], NULL::text
    FROM tallymill.attached_months a;
  RETURN QUERY SELECT 2, d.day - date '1970-01-01', NULL::bigint, NULL::bigint, NULL::bigint,
      (extract(epoch FROM d.dirty_since) * 1000000)::bigint, NULL::bigint, NULL::date[], d.dirty_reason
    FROM tallymill.days d
    WHERE d.dirty_since IS NOT NULL
       OR (d.closed_at IS NULL AND d.day < ((clock_timestamp() - p_close_after) AT TIME ZONE 'UTC')::date);
  RETURN QUERY SELECT 3, p.place, NULL::bigint, NULL::bigint, NULL::bigint, p.next_offset, NULL::bigint, NULL::date[], NULL::text
    FROM tallymill.places p ORDER BY p.place;
  RETURN QUERY SELECT 4, u.place, u.batch_id, u.last_batch_id, u.first_offset, u.next_offset, u.stored, u.days, NULL::text
    FROM tallymill.unfolded u LIMIT p_limit;
  RETURN QUERY SELECT 5, p.place, NULL::bigint, NULL::bigint, g.first_offset, g.next_offset, NULL::bigint, NULL::date[], NULL::text
    FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset;
END
$$;

REVOKE ALL ON FUNCTION tallymill.begin_cycle(bigint, interval, bigint, date[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.begin_cycle(bigint, interval, bigint, date[]) TO tallymill_aggregate;

RESET ROLE;
