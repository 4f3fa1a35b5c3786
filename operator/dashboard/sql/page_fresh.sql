-- How fresh the statistics are as this snapshot shows them, and when it was taken; the first day that has any, and the first whose keys of uniques are kept.
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(b.committed_at)), 0)::float8
        FROM tallymill.unfolded u JOIN tallymill.batches b USING (topic, topic_partition, first_offset)) AS behind_s,
       (SELECT leader FROM tallymill.leader) AS leader,
       (SELECT extract(epoch FROM clock_timestamp() - seen_at)::float8 FROM tallymill.leader WHERE epoch > 0) AS leader_seen_s,
       (SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL) AS dirty_days,
       (SELECT min(date) FROM public.analytics_daily_stats) AS first_day, (SELECT kept_from FROM tallymill.unique_state) AS kept_from;
