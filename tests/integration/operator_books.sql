-- Books and rows as workers and an aggregator would have left them: a small history in which every kind of outcome occurs.
--   topic partition 0: batch 1 [0, 30) with a duplicate and a dead letter, batch 2 [30, 60)
--   topic partition 1: batch 1 [0, 20), a gap [20, 30), batch 3 [30, 40) with two skipped offsets
-- Rows lie on 1 and 2 March 2026; two more were inserted by another program. {topic} is filled in by the test.
SELECT tallymill.make_month('2026-03-01');
INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES ('{topic}', '{cluster}', 'books');
INSERT INTO tallymill.owners (topic, topic_partition, epoch, owner) VALUES ('{topic}', 0, 1, 'worker-a'), ('{topic}', 1, 1, 'worker-b');
INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates,
                               dead_letters, skipped, days)
VALUES (1, 1, '{topic}', 0, 0, 30, 28, 1, 1, 0, '{{2026-03-01}}'), (1, 1, '{topic}', 1, 0, 20, 20, 0, 0, 0, '{{2026-03-01,2026-03-02}}'),
       (2, 2, '{topic}', 0, 30, 60, 30, 0, 0, 0, '{{2026-03-02}}'), (3, 3, '{topic}', 1, 30, 40, 8, 0, 0, 2, '{{2026-03-02}}');
INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason) VALUES ('{topic}', 1, 20, 30, 'retention');
INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, detail, message_value, batch_id)
VALUES ('{topic}', 0, 7, 'format', 'c1 at byte 0', '\xc1', 1);
INSERT INTO analytics_events (event_name, event_category, session_id, user_id, is_internal, created_at, batch_id)
SELECT CASE n % 3 WHEN 0 THEN 'login' WHEN 1 THEN 'page_view' ELSE 'error' END, 'usage', 's-' || n % 11, n % 7, n % 10 = 9,
       CASE WHEN n < 40 THEN timestamptz '2026-03-01 12:00Z' ELSE timestamptz '2026-03-02 00:00Z' END + n * interval '1 minute',
       CASE WHEN n < 48 THEN 1 WHEN n < 78 THEN 2 ELSE 3 END
FROM generate_series(0, 85) AS n;
INSERT INTO analytics_events (event_name, created_at) VALUES ('signup', '2026-03-02 05:00Z'), ('signup', '2026-03-02 06:00Z');
INSERT INTO analytics_daily_stats (date, event_name, event_count, unique_sessions, unique_users)
SELECT (created_at AT TIME ZONE 'UTC')::date, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id)
FROM analytics_events WHERE NOT is_internal GROUP BY 1, 2;
INSERT INTO tallymill.folded (topic, topic_partition, next_offset) VALUES ('{topic}', 0, 60), ('{topic}', 1, 40);
INSERT INTO tallymill.days (day, foreign_rows, foreign_hash)
SELECT d.day, coalesce(f.rows, 0), coalesce(f.hash, 0)
FROM (VALUES (date '2026-03-01'), ('2026-03-02')) AS d (day)
LEFT JOIN tallymill.foreign_rows('2026-03-01 00:00Z', '2026-03-03 00:00Z') f USING (day);
