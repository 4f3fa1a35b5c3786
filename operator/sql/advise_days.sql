-- The median of the last 28 whole UTC days, internal events too; of as many as there are since the first event, when that was later. No row before the second day.
WITH counted AS MATERIALIZED (
  SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS events
  FROM public.analytics_events /* tallymill advise */
  WHERE created_at >= date_trunc('day', now()) - interval '28 days' AND created_at < date_trunc('day', now())
  GROUP BY 1
), first AS (
  SELECT CASE WHEN EXISTS (SELECT FROM public.analytics_events /* tallymill advise */ WHERE created_at < date_trunc('day', now()) - interval '28 days')
              THEN now()::date - 28 ELSE (SELECT min(c.day) FROM counted c) END AS day
)
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY coalesce(c.events, 0))::bigint AS daily_events
FROM first f CROSS JOIN LATERAL generate_series(f.day::timestamp, now()::date - 1, interval '1 day') AS d (at)
LEFT JOIN counted c ON c.day = d.at::date
HAVING count(*) > 0;
