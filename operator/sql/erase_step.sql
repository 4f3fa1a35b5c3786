-- Takes away at most 5,000 events of users $1 or sessions $2 on the UTC day $3, enters them into the books for each interval of the ledger, and counts them in erasure $4: by months, and, where a rollup is by
-- weeks, of weeks that lie in two months (erase_weeks.sql). The day must be marked in the same transaction. One row: how many went. (OR rather than UNION, for a day has few pages and its rows are to be deleted.)
WITH gone AS (
  DELETE FROM public.analytics_events e
  WHERE e.created_at >= $3::date::timestamptz AND e.created_at < ($3::date + 1)::timestamptz
    AND (e.id, e.created_at) IN (SELECT o.id, o.created_at FROM public.analytics_events o
                                 WHERE o.created_at >= $3::date::timestamptz AND o.created_at < ($3::date + 1)::timestamptz
                                   AND (o.user_id = ANY ($1::bigint[]) OR o.session_id = ANY ($2::text[])) LIMIT 5000)
  RETURNING e.batch_id
), counted AS (
  SELECT g.batch_id, count(*) AS rows FROM gone g WHERE g.batch_id IS NOT NULL GROUP BY g.batch_id
), placed AS (
  SELECT coalesce(i.batch_id, c.batch_id) AS first_batch_id, coalesce(i.last_batch_id, c.batch_id) AS last_batch_id, sum(c.rows) AS rows
  FROM counted c
  LEFT JOIN LATERAL (
    SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b WHERE b.batch_id = c.batch_id AND b.batch_id = b.last_batch_id
    UNION ALL
    SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= c.batch_id AND b.batch_id <= c.batch_id
    ORDER BY 2 LIMIT 1) i ON true
  GROUP BY 1, 2
), entered AS (
  INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
  SELECT date_trunc('month', $3::date::timestamp)::date,
         (SELECT CASE WHEN count(DISTINCT b.topic) = 1 THEN min(b.topic) ELSE '' END FROM tallymill.batches b WHERE b.batch_id = p.first_batch_id AND b.last_batch_id = p.last_batch_id),
         p.first_batch_id, p.last_batch_id, p.rows, 'erased'
  FROM placed p RETURNING rows
), noted AS (
  UPDATE tallymill.erasures r
  SET counts = r.counts || jsonb_build_object('rows', coalesce(r.counts -> 'rows', '{}') || jsonb_build_object(n.month, coalesce((r.counts -> 'rows' ->> n.month)::bigint, 0) + n.gone))
    || CASE WHEN n.is_of_two_months THEN jsonb_build_object('weeks', coalesce(r.counts -> 'weeks', '{}') || jsonb_build_object(n.week, coalesce((r.counts -> 'weeks' ->> n.week)::bigint, 0) + n.gone))
            ELSE '{}' END
  FROM (SELECT to_char($3::date::timestamp, 'YYYY-MM') AS month, w.week::text AS week, (SELECT count(*) FROM gone) AS gone,
               date_trunc('month', w.week::timestamp) <> date_trunc('month', (w.week + 6)::timestamp)
                 AND EXISTS (SELECT FROM tallymill.rollups o WHERE o.period_days = 7 AND o.retired_at IS NULL) AS is_of_two_months
        FROM (SELECT date_trunc('week', $3::date::timestamp)::date AS week) w) n
  WHERE r.erasure = $4::bigint AND EXISTS (SELECT FROM gone)
  RETURNING r.erasure
)
SELECT (SELECT count(*) FROM gone) AS gone,
       CASE WHEN (SELECT coalesce(sum(e.rows), 0) FROM entered e) <> (SELECT coalesce(sum(c.rows), 0) FROM counted c)
            THEN tallymill.kept_out('tallymill.removals', (SELECT count(*) FROM placed), (SELECT count(*) FROM entered))::text
            WHEN EXISTS (SELECT FROM gone) AND NOT EXISTS (SELECT FROM noted) THEN tallymill.kept_out('tallymill.erasures', 1, 0)::text END AS kept_out
