WITH gone AS (DELETE FROM tallymill.advice WHERE ran_at >= now() - interval '1 hour' OR ran_at < now() - interval '400 days' RETURNING 1)
INSERT INTO tallymill.advice (query_p95_us, source) SELECT $1::bigint, $2 FROM (SELECT count(*) FROM gone) AS g;
