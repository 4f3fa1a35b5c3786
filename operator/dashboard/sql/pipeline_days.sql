-- The days that wait for a rebuild, the newest first.
SELECT to_char(day, 'YYYY-MM-DD') AS day, dirty_reason AS reason, extract(epoch FROM clock_timestamp() - dirty_since)::float8 AS waits_s
FROM tallymill.days WHERE dirty_since IS NOT NULL ORDER BY day DESC LIMIT 20;
