-- The first run of each hour (UTC) is kept, so that whoever asks more often has runs of different hours too. One of tomorrow, from when a clock was wrong, goes.
WITH gone AS (DELETE FROM tallymill.advice WHERE ran_at > now() OR ran_at < now() - interval '400 days' RETURNING 1)
INSERT INTO tallymill.advice (query_p95_us, source)
SELECT $1::bigint, $2 FROM (SELECT count(*) FROM gone) AS g
WHERE NOT EXISTS (SELECT FROM tallymill.advice WHERE ran_at BETWEEN date_trunc('hour', now(), 'UTC') AND now());
