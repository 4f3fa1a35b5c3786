-- Closed books other than those of $1 that hold dead letters which wait.
SELECT c.topic, count(*) AS dead_letters
FROM tallymill.clusters c JOIN tallymill.dead_letters d ON d.topic = c.topic
WHERE c.retired_at IS NOT NULL AND c.topic <> $1 AND d.replayed_at IS NULL AND d.emptied_at IS NULL
GROUP BY c.topic ORDER BY c.topic
