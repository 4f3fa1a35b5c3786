-- How far a rebuild of days ($1 date[]) has come: how many are done, and how long ago a leading aggregator was last seen (null: none leads).
SELECT (SELECT count(*) FROM tallymill.days WHERE day = ANY ($1::date[]) AND dirty_since IS NULL) AS done,
       (SELECT (extract(epoch FROM clock_timestamp() - seen_at) * 1000000)::bigint FROM tallymill.leader WHERE leader <> '') AS leader_seen_us
