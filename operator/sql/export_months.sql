-- The months that have events in a range of days, or had some: whether they can be read (is_attached), their state, whether there is any row, and about how many. In psql the range
-- may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
), known AS (
  SELECT m.month, m.state, a.month IS NOT NULL AS is_attached FROM tallymill.months m LEFT JOIN tallymill.attached_months a USING (month)
), holes AS (
  SELECT (month + interval '1 month')::timestamptz AS from_at, coalesce(lead(month) OVER (ORDER BY month), 'infinity')::timestamptz AS to_at FROM known
  UNION ALL
  SELECT '-infinity', coalesce(min(month), 'infinity')::timestamptz FROM known
), strange AS (
  -- Rows of table partitions that are no month (tallymill audit names them) are events all the same.
  SELECT DISTINCT f.month FROM holes h
  CROSS JOIN LATERAL (SELECT DISTINCT date_trunc('month', e.created_at)::date AS month FROM public.analytics_events e
                      WHERE e.created_at >= h.from_at AND e.created_at < h.to_at) f
  WHERE h.from_at < h.to_at
), listed AS (
  SELECT month, state, is_attached FROM known UNION ALL SELECT month, 'open', true FROM strange
), chosen AS (
  SELECT l.* FROM listed l CROSS JOIN asked a WHERE l.month <= a.last_day AND (l.month + interval '1 month')::date > a.first_day
)
SELECT c.month, c.state, c.is_attached,
       EXISTS (SELECT FROM public.analytics_events e WHERE e.created_at >= c.month::timestamptz AND e.created_at < (c.month + interval '1 month')::timestamptz) AS has_rows,
       greatest(coalesce((SELECT reltuples FROM pg_class WHERE oid = tallymill.month_table(c.month)), 0), 0)::bigint AS about_rows
FROM chosen c
ORDER BY c.month
