-- How fresh the daily statistics are: batches that are stored but not folded, days that wait for a rebuild, who leads. dirty_left_us: how long they
-- take at the pace of the last minute, NULL: nobody knows.
WITH pending AS (
  SELECT u.batch_id, u.stored, b.committed_at
  FROM tallymill.unfolded u JOIN tallymill.batches b USING (topic, topic_partition, first_offset)
)
SELECT count(DISTINCT batch_id) AS pending_batches, coalesce(sum(stored), 0)::bigint AS pending_rows,
       (extract(epoch FROM clock_timestamp() - min(committed_at)) * 1000000)::bigint AS behind_us,
       (SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL) AS dirty_days,
       (SELECT CASE WHEN count(dirty_since) = 0 THEN 0
                    ELSE (60000000 * count(dirty_since) / nullif(count(*) FILTER (WHERE rebuilt_at > clock_timestamp() - interval '1 minute'), 0))::bigint END
        FROM tallymill.days) AS dirty_left_us,
       (SELECT string_agg(day::text, ' ' ORDER BY day DESC)
        FROM (SELECT day FROM tallymill.days WHERE dirty_since IS NOT NULL ORDER BY day DESC LIMIT 10) newest) AS dirty_newest,
       (SELECT (extract(epoch FROM clock_timestamp() - min(dirty_since)) * 1000000)::bigint FROM tallymill.days) AS dirty_oldest_us,
       (SELECT coalesce(sum(rebuild_us), 0)::bigint FROM tallymill.days WHERE dirty_since IS NOT NULL) AS dirty_work_us,
       (SELECT string_agg(n || ' ' || reason, ', ' ORDER BY n DESC, reason)
        FROM (SELECT count(*) AS n, coalesce(dirty_reason, 'no reason noted') AS reason FROM tallymill.days
              WHERE dirty_since IS NOT NULL GROUP BY 2) r) AS dirty_reasons,
       (SELECT leader FROM tallymill.leader) AS leader, (SELECT epoch FROM tallymill.leader) AS leader_epoch,
       (SELECT claimed_at FROM tallymill.leader WHERE epoch > 0) AS leader_since,
       (SELECT (extract(epoch FROM clock_timestamp() - seen_at) * 1000000)::bigint FROM tallymill.leader WHERE epoch > 0) AS leader_seen_us
FROM pending;
