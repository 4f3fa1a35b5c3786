-- Dead letters that wait, by reason, the most frequent first; and those of the last hour.
SELECT d.reason, count(*) AS waiting, count(*) FILTER (WHERE d.dead_at > clock_timestamp() - interval '1 hour') AS fresh
FROM tallymill.dead_letters d
WHERE d.replayed_at IS NULL AND d.emptied_at IS NULL
  AND NOT EXISTS (SELECT FROM tallymill.clusters c WHERE c.topic = d.topic AND c.retired_at IS NOT NULL)
GROUP BY d.reason ORDER BY 2 DESC, 1 LIMIT 8
