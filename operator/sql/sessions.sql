-- How many workers are connected to this database, and which aggregator leads ('': none): one row. (An aggregator has a session for its rollups beside the one for its cycles.) One that
-- ended without a word is not connected any more; last_leader and last_seen_us tell who led, and how long ago that was known.
WITH sessions AS (
  SELECT application_name FROM pg_catalog.pg_stat_activity WHERE datname = current_database()
), led AS (
  SELECT coalesce((SELECT l.leader FROM tallymill.leader l), '') AS leader, (SELECT l.seen_at FROM tallymill.leader l) AS seen_at,
         EXISTS (SELECT FROM sessions WHERE application_name = 'tallymill-aggregator') AS is_connected
)
SELECT (SELECT count(*) FROM sessions WHERE application_name = 'tallymill-consumer') AS consumers,
       CASE WHEN l.is_connected AND l.seen_at > clock_timestamp() - interval '1 minute' THEN l.leader ELSE '' END AS leader,
       l.leader AS last_leader, l.is_connected,
       coalesce((extract(epoch FROM clock_timestamp() - l.seen_at) * 1000000)::bigint, -1) AS last_seen_us
FROM led l
