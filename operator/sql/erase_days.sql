-- The UTC days on which users $1 or sessions $2 have events in months that can be read: how many, and of each month how many events it has in all, where that must be known (NULL: theirs are
-- surely no hundredth of it). Two questions rather than one with OR: each has its index.
WITH theirs AS (
  SELECT e.id, e.created_at FROM public.analytics_events e WHERE e.user_id = ANY ($1::bigint[])
  UNION
  SELECT e.id, e.created_at FROM public.analytics_events e WHERE e.session_id = ANY ($2::text[])
), days AS (
  SELECT (t.created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS rows FROM theirs t GROUP BY 1
), months AS (
  SELECT date_trunc('month', d.day::timestamp)::date AS month, sum(d.rows)::bigint AS rows FROM days d GROUP BY 1
), measured AS (
  SELECT m.month, m.rows AS month_rows,
         CASE WHEN m.rows * 200 >= coalesce((SELECT c.reltuples FROM pg_class c WHERE c.oid = tallymill.month_table(m.month)), 0) THEN
           (SELECT count(*) FROM public.analytics_events e WHERE e.created_at >= m.month::timestamptz AND e.created_at < (m.month + interval '1 month')::timestamptz) END AS all_rows
  FROM months m
)
SELECT d.day, d.rows, to_char(m.month, 'YYYY-MM') AS month, m.month_rows, m.all_rows FROM days d JOIN measured m ON m.month = date_trunc('month', d.day::timestamp)::date ORDER BY d.day
