-- The books: which offsets are stored, who may store more, what died, what Kafka no longer had.
-- Runs in psql as it stands, after 0001.

SET ROLE tallymill_admin;

-- Who may store the events of a topic partition. The epoch goes up with every claim; a worker with an older one is fenced.
CREATE TABLE tallymill.owners (
  topic           text NOT NULL,
  topic_partition integer NOT NULL CHECK (topic_partition >= 0),
  epoch           bigint NOT NULL DEFAULT 0,
  owner           text NOT NULL DEFAULT '',
  claimed_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, topic_partition)
);

-- Where a topic lives and which consumer group stores it. Offsets of another cluster, or a second group, would mix two histories.
CREATE TABLE tallymill.clusters (
  topic          text PRIMARY KEY,
  cluster_id     text NOT NULL,
  consumer_group text NOT NULL,
  first_seen_at  timestamptz NOT NULL DEFAULT now()
);

-- The ledger: one row for each topic partition that a committed batch touched. Only ever inserted, never updated per batch:
-- a position row updated in place costs 20 times as much beside one long reader.
-- The primary key is the last guard: the database itself refuses a second batch from the same offset.
CREATE SEQUENCE tallymill.batch_ids AS bigint;
CREATE TABLE tallymill.batches (
  batch_id        bigint NOT NULL,
  last_batch_id   bigint NOT NULL,
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  first_offset    bigint NOT NULL,
  next_offset     bigint NOT NULL,
  stored          bigint NOT NULL CHECK (stored >= 0),
  duplicates      bigint NOT NULL CHECK (duplicates >= 0),
  dead_letters    bigint NOT NULL CHECK (dead_letters >= 0),
  skipped         bigint NOT NULL CHECK (skipped >= 0),
  days            date[] NOT NULL,
  anchor_offset   bigint,
  anchor_hash     bytea,
  committed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, topic_partition, first_offset),
  CONSTRAINT batches_cover_offsets CHECK (first_offset >= 0 AND next_offset > first_offset
    AND next_offset - first_offset = stored + duplicates + dead_letters + skipped),
  CONSTRAINT batches_ids CHECK (last_batch_id >= batch_id)
);

-- Offsets whose events were gone before they were read.
CREATE TABLE tallymill.gaps (
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  first_offset    bigint NOT NULL,
  next_offset     bigint NOT NULL,
  reason          text NOT NULL CHECK (reason IN ('retention', 'truncated', 'reset')),
  noticed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, topic_partition, first_offset),
  CHECK (first_offset >= 0 AND next_offset > first_offset)
);

-- Rows that left analytics_events on purpose, so that stored rows can still be counted against the ledger.
CREATE TABLE tallymill.removals (
  month          date NOT NULL,
  topic          text NOT NULL,
  first_batch_id bigint NOT NULL,
  last_batch_id  bigint NOT NULL,
  rows           bigint NOT NULL,
  reason         text NOT NULL CHECK (reason IN ('erased', 'archived', 'restored')),
  removed_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Bad events, with their bytes. message_time is Kafka's record time.
CREATE TABLE tallymill.dead_letters (
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  kafka_offset    bigint NOT NULL,
  reason          text NOT NULL,
  detail          text NOT NULL DEFAULT '',
  message_key     bytea,
  message_value   bytea,
  message_time    timestamptz,
  batch_id        bigint NOT NULL,
  dead_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  replayed_at     timestamptz,
  PRIMARY KEY (topic, topic_partition, kafka_offset)
);

-- The first offset not yet stored, of each topic partition.
CREATE VIEW tallymill.positions AS
  SELECT o.topic, o.topic_partition,
         greatest(coalesce((SELECT b.next_offset FROM tallymill.batches b
                            WHERE b.topic = o.topic AND b.topic_partition = o.topic_partition
                            ORDER BY b.first_offset DESC LIMIT 1), 0),
                  coalesce((SELECT g.next_offset FROM tallymill.gaps g
                            WHERE g.topic = o.topic AND g.topic_partition = o.topic_partition
                            ORDER BY g.first_offset DESC LIMIT 1), 0)) AS next_offset
  FROM tallymill.owners o;

-- How far the daily statistics have taken the ledger in.
CREATE TABLE tallymill.folded (
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  next_offset     bigint NOT NULL,
  PRIMARY KEY (topic, topic_partition)
);

-- One row for each UTC day that has statistics. dirty_since: its statistics wait for a rebuild.
-- foreign_rows and foreign_hash: the rows of other programs as the last rebuild saw them.
CREATE TABLE tallymill.days (
  day          date PRIMARY KEY,
  closed_at    timestamptz,
  dirty_since  timestamptz,
  dirty_reason text,
  rebuilt_at   timestamptz,
  rebuild_us   bigint,
  foreign_rows bigint NOT NULL DEFAULT 0,
  foreign_hash bigint NOT NULL DEFAULT 0
);

-- Which aggregator leads. Every transaction of the leader locks this row and compares the epoch.
CREATE TABLE tallymill.leader (
  only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  epoch      bigint NOT NULL DEFAULT 0,
  leader     text NOT NULL DEFAULT '',
  claimed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tallymill.leader DEFAULT VALUES;

-- The months that analytics_events has, had or is about to lose.
CREATE TABLE tallymill.months (
  month      date PRIMARY KEY CHECK (extract(day FROM month) = 1),
  state      text NOT NULL CHECK (state IN ('open', 'detaching', 'archived', 'restored')),
  changed_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON tallymill.owners, tallymill.clusters, tallymill.batches, tallymill.gaps, tallymill.removals, tallymill.positions,
  tallymill.folded, tallymill.days, tallymill.leader, tallymill.months TO tallymill_ingest, tallymill_aggregate, tallymill_read;
-- Everything of a dead letter but its contents, which may be personal.
GRANT SELECT (topic, topic_partition, kafka_offset, reason, batch_id, message_time, dead_at, replayed_at)
  ON tallymill.dead_letters TO tallymill_aggregate, tallymill_read;
GRANT INSERT ON tallymill.dead_letters TO tallymill_ingest;
GRANT USAGE ON SEQUENCE tallymill.batch_ids TO tallymill_ingest;
GRANT INSERT, UPDATE, DELETE ON tallymill.folded, tallymill.days TO tallymill_aggregate;
GRANT UPDATE ON tallymill.leader TO tallymill_aggregate;

RESET ROLE;
