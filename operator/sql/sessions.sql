-- How many workers are connected to this database, and which aggregator leads ('': none): one row. (An aggregator has a session for its rollups beside the one for its cycles.)
SELECT count(*) FILTER (WHERE application_name = 'tallymill-consumer') AS consumers,
       coalesce((SELECT l.leader FROM tallymill.leader l WHERE l.seen_at > clock_timestamp() - interval '1 minute'), '') AS leader
FROM pg_catalog.pg_stat_activity WHERE datname = current_database()
