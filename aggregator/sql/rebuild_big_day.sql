-- One day's statistics computed by Postgres: $1 date; $2 int8multirange, ids of batches that are left out; $3, $4 where the day begins and ends: as
-- times of their own they are constants to the planner, which looks at no other month.
WITH fresh AS MATERIALIZED (
  SELECT event_name, count(*) AS events, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users
  FROM public.analytics_events
  WHERE created_at >= $3::timestamptz AND created_at < $4::timestamptz
    AND is_internal = false AND (batch_id IS NULL OR NOT batch_id <@ $2::int8multirange)
  GROUP BY event_name
), gone AS (
  DELETE FROM public.analytics_daily_stats s
  WHERE s.date = $1::date AND NOT EXISTS (SELECT FROM fresh f WHERE f.event_name = s.event_name)
  RETURNING 1
), written AS (
  INSERT INTO public.analytics_daily_stats (date, event_name, event_count, unique_sessions, unique_users)
  SELECT $1::date, event_name, events, sessions, users FROM fresh
  ON CONFLICT (date, event_name) DO UPDATE
  SET event_count = excluded.event_count, unique_sessions = excluded.unique_sessions, unique_users = excluded.unique_users
  RETURNING event_name, event_count AS events, unique_sessions AS sessions, unique_users AS users
), compared AS ( -- what a trigger keeps out shows here, for both see the table as it was before
  SELECT (SELECT count(*) FROM fresh)
         + (SELECT count(*) FROM public.analytics_daily_stats s
            WHERE s.date = $1::date AND NOT EXISTS (SELECT FROM fresh f WHERE f.event_name = s.event_name)) AS wanted,
         (SELECT count(*) FROM fresh JOIN written USING (event_name, events, sessions, users)) + (SELECT count(*) FROM gone) AS standing
)
SELECT tallymill.kept_out('public.analytics_daily_stats', c.wanted, c.standing) FROM compared c WHERE c.wanted <> c.standing
