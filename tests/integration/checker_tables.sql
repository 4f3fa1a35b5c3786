-- The tables that the checker reads, as section 9 of the design names them and without any of the guards that
-- the real schema has: no key, no check, no index.  So every damage can be planted.
DROP SCHEMA IF EXISTS tallymill CASCADE;
DROP TABLE IF EXISTS analytics_events, analytics_daily_stats;
CREATE SCHEMA tallymill;
CREATE TABLE analytics_events (id uuid, event_name text, event_category text, session_id text, user_id bigint,
  event_data jsonb, is_internal boolean, created_at timestamptz, batch_id bigint);
CREATE TABLE analytics_daily_stats (date date, event_name text, event_count bigint, unique_sessions bigint,
  unique_users bigint, created_at timestamptz);
CREATE TABLE tallymill.batches (batch_id bigint, last_batch_id bigint, topic text, topic_partition integer,
  first_offset bigint, next_offset bigint, stored bigint, duplicates bigint, dead_letters bigint, skipped bigint, days date[]);
CREATE TABLE tallymill.gaps (topic text, topic_partition integer, first_offset bigint, next_offset bigint, reason text);
CREATE TABLE tallymill.positions (topic text, topic_partition integer, next_offset bigint);
CREATE TABLE tallymill.removals (month date, topic text, first_batch_id bigint, last_batch_id bigint, rows bigint, reason text);
CREATE TABLE tallymill.dead_letters (topic text, topic_partition integer, kafka_offset bigint, reason text,
  message_key bytea, message_value bytea, batch_id bigint, replayed_at timestamptz);
CREATE TABLE tallymill.folded (topic text, topic_partition integer, next_offset bigint);
CREATE TABLE tallymill.days (day date, dirty_since timestamptz, rebuilt_at timestamptz);
CREATE TABLE tallymill.months (month date, state text, changed_at timestamptz);
