-- From which day on the newest days have about 200,000 events together, by what the statistics say: one row. '': all days together have no more. In psql another number may be tried:
-- SET tallymill.doctor_events = 1000.
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.doctor_events', true), ''), '200000')::bigint AS events
), counted AS (
  SELECT s.date, sum(sum(s.event_count)) OVER (ORDER BY s.date DESC) AS events FROM public.analytics_daily_stats s GROUP BY s.date
)
SELECT coalesce(CASE WHEN NOT EXISTS (SELECT FROM counted c, asked a WHERE c.events > a.events) THEN ''
                     ELSE coalesce((SELECT min(c.date) FROM counted c, asked a WHERE c.events <= a.events), (SELECT max(c.date) FROM counted c))::text END, '') AS first_day
