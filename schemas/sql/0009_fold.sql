-- What a cycle of the aggregator asks every time, as functions: their plans are kept by the session, also behind a pooler. Planned anew each
-- time these questions cost 2.5 ms of CPU a cycle, more than taking a thousand events in. Runs in psql as it stands, after 0008.

SET ROLE tallymill_admin;

-- Is there work for a cycle? p_close_after: how long after its end a day is closed.
-- has_batches; has_days: a day of an attached month waits for a rebuild or is due for closing; months (first days, since 1970) that unfolded
-- batches name, and how many pages each has, -1 where its table is gone.
CREATE FUNCTION tallymill.look_for_work(p_close_after interval)
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
                 JOIN tallymill.months m ON m.month = date_trunc('month', d.day::timestamp)::date AND m.state IN ('open', 'restored')
                 WHERE d.dirty_since IS NOT NULL
                    OR (d.closed_at IS NULL AND d.day < ((clock_timestamp() - p_close_after) AT TIME ZONE 'UTC')::date)),
         coalesce((SELECT array_agg(n.month - date '1970-01-01' ORDER BY n.month) FROM named n WHERE n.month IS NOT NULL), '{}'),
         coalesce((SELECT array_agg(coalesce(pg_relation_size(to_regclass('public.analytics_events_' || to_char(n.month, 'YYYY_MM')))
                                             / current_setting('block_size')::integer, -1) ORDER BY n.month)
                   FROM named n WHERE n.month IS NOT NULL), '{}');
END
$$;

-- The work list in one answer: where each topic partition stands (kind 0, in order of place), then at most p_limit ledger rows beyond (kind 1), then
-- the gaps beyond (kind 2).
CREATE FUNCTION tallymill.work(p_limit bigint)
RETURNS TABLE (kind integer, place integer, batch_id bigint, last_batch_id bigint, first_offset bigint, next_offset bigint, stored bigint, days date[])
LANGUAGE plpgsql STABLE
AS $$
BEGIN
  RETURN QUERY SELECT 0, p.place, NULL::bigint, NULL::bigint, NULL::bigint, p.next_offset, NULL::bigint, NULL::date[]
    FROM tallymill.places p ORDER BY p.place;
  RETURN QUERY SELECT 1, u.place, u.batch_id, u.last_batch_id, u.first_offset, u.next_offset, u.stored, u.days
    FROM tallymill.unfolded u LIMIT p_limit;
  RETURN QUERY SELECT 2, p.place, NULL::bigint, NULL::bigint, g.first_offset, g.next_offset, NULL::bigint, NULL::date[]
    FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset;
END
$$;

-- Moves `folded` of the topic partitions with these numbers (as tallymill.places counts them in this snapshot).
CREATE FUNCTION tallymill.move_folded(p_places integer[], p_next_offsets bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  INSERT INTO tallymill.folded (topic, topic_partition, next_offset)
    SELECT p.topic, p.topic_partition, n.next_offset
    FROM unnest(p_places, p_next_offsets) AS n (place, next_offset) JOIN tallymill.places p USING (place)
    ON CONFLICT (topic, topic_partition) DO UPDATE SET next_offset = excluded.next_offset;
END
$$;

REVOKE ALL ON FUNCTION tallymill.look_for_work(interval), tallymill.work(bigint), tallymill.move_folded(integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.look_for_work(interval), tallymill.work(bigint), tallymill.move_folded(integer[], bigint[]) TO tallymill_aggregate;

RESET ROLE;
