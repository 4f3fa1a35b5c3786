-- The months that there are or were, newest first. In psql:
--   SET tallymill.cold_before = '2025-11-01'; SET tallymill.window_from = '2025-10-01'; SET tallymill.restored_keep = '30 days';
-- rows: of an archive as they were counted; else about as many, by what was counted last (ANALYZE, vacuum) or has come since, NULL where there are some and nobody knows how many.
-- cold_before: a month that ended by then is cold; window_from: no event from before it is accepted any more, so that a month before it may leave.
WITH asked AS (
  SELECT nullif(current_setting('tallymill.cold_before', true), '')::date AS cold_before, nullif(current_setting('tallymill.window_from', true), '')::timestamptz AS window_from,
         clock_timestamp() - coalesce(nullif(current_setting('tallymill.restored_keep', true), ''), '0')::interval AS restored_before,
         date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')::date AS this_month
), listed AS (
  SELECT m.month, m.state, (m.month + interval '1 month')::date AS month_end, tallymill.month_table(m.month) AS leaf,
         EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month) AS is_attached
  FROM tallymill.months m
), waiting AS (
  SELECT month, sum(waiting)::bigint AS waiting, sum(emptied)::bigint AS emptied FROM tallymill.waiting_dead_letters() GROUP BY month
)
SELECT to_char(l.month, 'YYYY-MM') AS month, l.state, l.is_attached,
       CASE WHEN l.month >= q.this_month - interval '1 month' THEN 'hot' WHEN l.month_end > q.cold_before THEN 'warm' ELSE 'cold' END AS class,
       CASE WHEN l.state = 'archived' THEN a.rows WHEN n.bytes = 0 THEN 0 ELSE nullif(n.about, 0) END AS rows, coalesce(l.state <> 'archived' AND n.bytes > 0, false) AS is_estimate,
       pg_table_size(l.leaf) AS table_bytes, pg_indexes_size(l.leaf) AS index_bytes,
       a.target, a.generation, a.state AS archive_state, a.rows AS archive_rows, a.bytes AS archive_bytes, a.proven_at, a.dropped_at, r.restored_at,
       coalesce(w.waiting, 0) AS dead_letters_waiting, coalesce(w.emptied, 0) AS dead_letters_emptied,
       l.state IN ('open', 'restored') AND l.is_attached AND l.month < q.this_month - interval '1 month' AND l.month_end <= q.cold_before
         AND l.month_end::timestamp AT TIME ZONE 'UTC' <= q.window_from AND (r.restored_at IS NULL OR r.restored_at < q.restored_before) AS is_due,
       l.state = 'detaching' OR o.leftovers IS NOT NULL AS is_unfinished, o.leftovers
FROM asked q CROSS JOIN listed l
LEFT JOIN LATERAL (SELECT * FROM tallymill.archives o WHERE o.month = l.month AND o.state <> 'superseded' ORDER BY o.generation DESC LIMIT 1) a ON true
CROSS JOIN LATERAL (SELECT pg_relation_size(l.leaf) AS bytes,
                           greatest((SELECT c.reltuples::bigint FROM pg_class c WHERE c.oid = l.leaf), pg_stat_get_live_tuples(l.leaf), 0) AS about) n
CROSS JOIN LATERAL (SELECT max(o.restored_at) AS restored_at FROM tallymill.archives o WHERE o.month = l.month) r
CROSS JOIN LATERAL (SELECT string_agg(format('generation %s in %s', o.generation, o.target), ', ' ORDER BY o.generation) AS leftovers FROM tallymill.archives o
                    WHERE l.state = 'archived' AND o.month = l.month AND o.state = 'superseded' AND o.target <> 'none' AND o.parts IS DISTINCT FROM 0) o
LEFT JOIN waiting w ON w.month = l.month
ORDER BY l.month DESC;
