-- Rows that are stored and not in the statistics yet, for longer than it takes: a minute where an aggregator leads, ten seconds where none does. Columns as in doctor_server.sql.
WITH pending AS (
  SELECT coalesce(sum(u.stored), 0)::bigint AS rows, date_trunc('milliseconds', clock_timestamp() - min(b.committed_at)) AS behind
  FROM tallymill.unfolded u JOIN tallymill.batches b USING (topic, topic_partition, first_offset)
), led AS (
  SELECT l.leader, l.leader <> '' AND l.seen_at > clock_timestamp() - interval '1 minute'
         AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'tallymill-aggregator') AS is_led, date_trunc('second', clock_timestamp() - l.seen_at) AS seen
  FROM tallymill.leader l
)
SELECT true AS is_finding, 'statistics' AS object,
       format('%s rows are stored and not counted, the oldest for %s; %s', p.rows, p.behind,
              CASE WHEN l.is_led THEN format('aggregator %s leads', l.leader) WHEN l.leader = '' THEN 'no aggregator runs'
                   ELSE format('aggregator %s was last seen %s ago', l.leader, l.seen) END) AS what,
       'the daily statistics and the rollups are that old' AS why,
       CASE WHEN l.is_led THEN 'journalctl -u tallymill-aggregator -n 50' ELSE 'systemctl restart tallymill-aggregator' END AS remedy
FROM pending p, led l WHERE p.behind > CASE WHEN l.is_led THEN interval '1 minute' ELSE interval '10 seconds' END
