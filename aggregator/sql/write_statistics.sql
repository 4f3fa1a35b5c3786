-- Figures by (date, event_name): $1 date[], $2 text[], $3 bigint[] events, $4 bigint[] sessions, $5 bigint[] users.
-- The version of each day that changes goes up with them: its rollups are then out of date.
WITH written AS (
  INSERT INTO public.analytics_daily_stats AS s (date, event_name, event_count, unique_sessions, unique_users)
  SELECT * FROM unnest($1::date[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
  ON CONFLICT (date, event_name) DO UPDATE
  SET event_count = excluded.event_count, unique_sessions = excluded.unique_sessions, unique_users = excluded.unique_users
  WHERE (s.event_count, s.unique_sessions, s.unique_users) IS DISTINCT FROM
        (excluded.event_count, excluded.unique_sessions, excluded.unique_users)
  RETURNING s.date
)
INSERT INTO tallymill.changes AS c (day, version) SELECT DISTINCT date, 1 FROM written
ON CONFLICT (day) DO UPDATE SET version = c.version + 1
