-- How many days of months that left still have keys that are to go, and how long ago a leading aggregator was last seen (null: none leads).
SELECT (SELECT count(DISTINCT r.day) FROM tallymill.key_removals k JOIN tallymill.unique_runs r ON r.day >= k.month AND r.day < k.month + interval '1 month'
        WHERE r.is_stored AND r.removal < k.removal) AS waiting,
       (SELECT (extract(epoch FROM clock_timestamp() - seen_at) * 1000000)::bigint FROM tallymill.leader WHERE leader <> '') AS leader_seen_us
