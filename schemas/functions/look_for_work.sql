-- Is there work for a cycle? p_close_after: how long after its end a day is closed. Asked every second while nothing comes: by index, whatever the statistics say.
-- has_batches; has_days: a day of an attached month waits for a rebuild or is due for closing; months (first days, since 1970) that unfolded
-- batches name, and how many pages each has, -1 where it has no table of its own.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.look_for_work(p_close_after interval)
RETURNS TABLE (has_batches boolean, has_days boolean, months integer[], pages bigint[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
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
         coalesce((SELECT array_agg(coalesce(tallymill.month_pages(n.month), -1) ORDER BY n.month) FROM named n WHERE n.month IS NOT NULL), '{}');
END
$$;

REVOKE ALL ON FUNCTION tallymill.look_for_work(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.look_for_work(interval) TO tallymill_aggregate;

RESET ROLE;
