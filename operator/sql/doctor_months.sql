-- Months: those ahead that are missing, those that the books know and the table has not, table partitions that are no month, months that stopped on their way into the archive, and what a month made by hand
-- lacks. Columns as in doctor_server.sql. How many months ahead there should be: SET tallymill.doctor_months_ahead = 3.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.doctor_months_ahead', true), ''), '3')::integer AS months
), wanted AS (
  SELECT g.number, (date_trunc('month', now() AT TIME ZONE 'UTC') + g.number * interval '1 month')::date AS month
  FROM asked a CROSS JOIN LATERAL generate_series(0, a.months) AS g (number)
), there AS (
  SELECT t.month FROM tallymill.table_partitions() t WHERE t.month IS NOT NULL
), lost AS (
  SELECT m.month, m.state, coalesce(m.leaf::text, 'public.analytics_events_' || to_char(m.month, 'YYYY_MM')) AS leaf, tallymill.month_table(m.month) IS NOT NULL AS is_there
  FROM tallymill.months m
  WHERE m.state IN ('open', 'restored') AND NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month)
), troubles AS (
  SELECT t.is_damage, regexp_match(t.trouble, '^(.*): ([A-Z][A-Za-z]*[ ;].*)$') AS parts, t.trouble FROM tallymill.month_troubles() t
)
SELECT w.number <= 2 AS is_finding, 'month ' || to_char(w.month, 'YYYY-MM') AS object,
       format('month %s has no table partition%s', to_char(w.month, 'YYYY-MM'), CASE WHEN w.number = 0 THEN ', and it is the current one' ELSE '' END) AS what,
       'its events wait until the month is made, which a worker or the aggregator does as it needs it; where nobody made it, ask what kept them' AS why,
       format('SELECT tallymill.make_month(%L)', w.month) AS remedy
FROM wanted w
WHERE NOT EXISTS (SELECT FROM there t WHERE t.month = w.month) AND NOT EXISTS (SELECT FROM lost l WHERE l.month = w.month)
UNION ALL
SELECT true, 'month ' || to_char(l.month, 'YYYY-MM'),
       format('month %s is %s in the books, but %s', to_char(l.month, 'YYYY-MM'), l.state,
              CASE WHEN l.is_there THEN format('its table %s is no part of analytics_events', l.leaf) ELSE format('its table %s is gone', l.leaf) END),
       CASE WHEN l.is_there THEN 'its rows are in nobody''s view, and nothing of that month can be stored' ELSE 'nothing of that month can be stored; what it held comes from a backup only' END,
       CASE WHEN l.is_there THEN format('ALTER TABLE public.analytics_events ATTACH PARTITION %s FOR VALUES FROM (''%s 00:00:00+00'') TO (''%s 00:00:00+00'')', l.leaf, l.month,
                                        (l.month + interval '1 month')::date)
            ELSE format('SELECT tallymill.make_month(%L)', l.month) END
FROM lost l
UNION ALL
SELECT true, 'month ' || to_char(m.month, 'YYYY-MM'), format('month %s is on its way out since %s', to_char(m.month, 'YYYY-MM'), to_char(m.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')),
       'events that come for it are dead letters meanwhile, and it is in no query once it is detached',
       format('tallymill archive %1$s -- goes on; tallymill archive --cancel %1$s brings it back', to_char(m.month, 'YYYY-MM'))
FROM tallymill.months m WHERE m.state = 'detaching' AND m.changed_at < now() - interval '1 day'
UNION ALL
SELECT t.is_damage, 'table partition', coalesce(t.parts[1], t.trouble),
       CASE WHEN t.is_damage THEN 'no statistic, no rollup and no archive knows its rows' ELSE 'it was made by hand, and lacks what the others have' END,
       coalesce(t.parts[2], 'tallymill audit')
FROM troubles t
