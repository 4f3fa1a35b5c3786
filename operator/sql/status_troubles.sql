-- Workers that cannot store their batch, as they have said within the last minute.
SELECT t.topic, t.owner, t.sqlstate, t.reason, t.since,
       (extract(epoch FROM clock_timestamp() - t.since) * 1000000)::bigint AS since_us
FROM tallymill.troubles t
WHERE t.said_at > clock_timestamp() - interval '1 minute'
ORDER BY t.since, t.topic, t.owner;
