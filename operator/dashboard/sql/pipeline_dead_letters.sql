-- Dead letters of the last 24 hours by reason; recent: of the last five minutes; latest: of the last twenty seconds.
SELECT reason, count(*) AS count, count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed,
       count(*) FILTER (WHERE dead_at > clock_timestamp() - interval '5 minutes') AS recent,
       count(*) FILTER (WHERE dead_at > clock_timestamp() - interval '20 seconds') AS latest
FROM tallymill.dead_letters WHERE dead_at > clock_timestamp() - interval '24 hours'
GROUP BY reason ORDER BY 2 DESC, 1;
