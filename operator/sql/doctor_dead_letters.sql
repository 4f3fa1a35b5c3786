-- Dead letters that wait: neither sent again, nor settled. A row for each reason, the most frequent first; from 100 of them on, or where there are a hundred in the last hour. Columns
-- as in doctor_server.sql.
WITH waiting AS (
  SELECT d.topic, d.reason, count(*) AS letters, count(*) FILTER (WHERE d.dead_at > clock_timestamp() - interval '1 hour') AS fresh, max(d.dead_at) AS last_at,
         (array_agg(d.topic_partition || ':' || d.kafka_offset ORDER BY d.dead_at DESC, d.topic_partition, d.kafka_offset DESC))[1] AS newest
  FROM tallymill.dead_letters d
  WHERE d.replayed_at IS NULL AND d.emptied_at IS NULL
    AND NOT EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = d.topic AND c.retired_at IS NOT NULL)
  GROUP BY d.topic, d.reason
), summed AS (
  SELECT w.*, sum(w.letters) OVER () AS all_letters, sum(w.fresh) OVER () AS all_fresh FROM waiting w
)
SELECT s.all_letters >= 1000 OR s.all_fresh >= 100 AS is_finding, s.topic || ' ' || s.reason AS object,
       format('%s dead letters of topic %s wait for reason %s, %s of them of the last hour, the newest at %s', s.letters, s.topic, s.reason, s.fresh, s.newest) AS what,
       'somebody sends what cannot be stored: tallymill dlq show --at ' || s.newest || ' tells what is wrong with the newest; they wait until they are sent again' AS why,
       'tallymill dlq replay --reason ' || s.reason AS remedy
FROM summed s WHERE s.all_letters >= 100
ORDER BY s.letters DESC LIMIT 10
