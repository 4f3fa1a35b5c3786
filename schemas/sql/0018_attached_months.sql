-- A month that somebody detached by hand holds up no other. Runs in psql as it stands, after 0017.

SET ROLE tallymill_admin;

-- The months whose rows are to be read, as this snapshot shows them: by their state and by the catalogue. Where the two differ, somebody has detached the month's table
-- (`tallymill audit` names it): its days wait until it is attached again, or archived.
CREATE VIEW tallymill.attached_months AS
  SELECT m.month FROM tallymill.months m
  WHERE m.state IN ('open', 'restored')
    AND EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
                  AND c.relnamespace = 'public'::regnamespace AND c.relname = 'analytics_events_' || to_char(m.month, 'YYYY_MM'));
GRANT SELECT ON tallymill.attached_months TO tallymill_aggregate, tallymill_read;

-- The days of a month that was archived wait for nothing any more.
CREATE FUNCTION tallymill.forget_waiting_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE tallymill.days SET dirty_since = NULL, dirty_reason = NULL
    WHERE dirty_since IS NOT NULL AND day >= NEW.month AND day < NEW.month + interval '1 month';
  RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tallymill.forget_waiting_days() FROM PUBLIC;
CREATE TRIGGER forget_waiting_days AFTER UPDATE OF state ON tallymill.months
  FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived') EXECUTE FUNCTION tallymill.forget_waiting_days();

-- Is there work for a cycle? p_close_after: how long after its end a day is closed.
-- has_batches; has_days: a day of an attached month waits for a rebuild or is due for closing; months (first days, since 1970) that unfolded
-- batches name, and how many pages each has, -1 where its table is gone.
CREATE OR REPLACE FUNCTION tallymill.look_for_work(p_close_after interval)
RETURNS TABLE (has_batches boolean, has_days boolean, months integer[], pages bigint[])
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  RETURN QUERY
  WITH named AS MATERIALIZED (
    SELECT date_trunc('month', d.day::timestamp)::date AS month
    FROM tallymill.unfolded u LEFT JOIN LATERAL unnest(u.days) AS d (day) ON true
    GROUP BY 1
  )
  SELECT EXISTS (SELECT FROM named)
           OR EXISTS (SELECT FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset),
         EXISTS (SELECT FROM tallymill.days d
                 JOIN tallymill.attached_months m ON m.month = date_trunc('month', d.day::timestamp)::date
                 WHERE d.dirty_since IS NOT NULL
                    OR (d.closed_at IS NULL AND d.day < ((clock_timestamp() - p_close_after) AT TIME ZONE 'UTC')::date)),
         coalesce((SELECT array_agg(n.month - date '1970-01-01' ORDER BY n.month) FROM named n WHERE n.month IS NOT NULL), '{}'),
         coalesce((SELECT array_agg(coalesce(pg_relation_size(to_regclass('public.analytics_events_' || to_char(n.month, 'YYYY_MM')))
                                             / current_setting('block_size')::integer, -1) ORDER BY n.month)
                   FROM named n WHERE n.month IS NOT NULL), '{}');
END
$$;

-- The first statement of a cycle's transaction: takes the cycle's lock and the leader's row, and reads the books. No row: another transaction
-- holds the lock. By kind, in this order (what a kind does not name is NULL):
--   0 the leader: batch_id its epoch, next_offset the time in us; the only row where that is another epoch than p_epoch (NULL: any will do)
--   1 an attached month: number its first day (since 1970); pages of its table in next_offset where p_months names it
--   2 a day that waits, or is due for closing p_close_after its end: number, next_offset since when in us, reason
--   3 where a topic partition stands: number its place, in that order
--   4 at most p_limit ledger rows beyond · 5 the gaps beyond
-- The settings are the cycle's: its reads are one process' work, parallel workers and JIT would only add to its CPU. By index (as since 0014), whatever the statistics say of the
-- ledger: without any, and that is what a session's first plan may be made with, Postgres reads all of a grown ledger once for each topic partition.
CREATE OR REPLACE FUNCTION tallymill.begin_cycle(p_epoch bigint, p_close_after interval, p_limit bigint, p_months date[])
RETURNS TABLE (kind integer, number integer, batch_id bigint, last_batch_id bigint, first_offset bigint, next_offset bigint, stored bigint,
               days date[], reason text)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off
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
  RETURN QUERY SELECT 1, m.month - date '1970-01-01', NULL::bigint, NULL::bigint, NULL::bigint,
      CASE WHEN m.month = ANY (p_months) THEN pg_relation_size(to_regclass('public.analytics_events_' || to_char(m.month, 'YYYY_MM')))
                                              / current_setting('block_size')::integer END, NULL::bigint, NULL::date[], NULL::text
    FROM tallymill.attached_months m;
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

RESET ROLE;
