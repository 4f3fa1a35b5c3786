-- The books: which offsets are stored, who may store more, what died, what Kafka no longer had.
--
-- A topic that was deleted and made anew under its name is another log; its offsets begin again and mean other events. Kafka's id of the topic (KIP-516) tells, whatever
-- the offsets say. The books of a topic that is no more are closed (retired), and a topic that was made anew begins with books of its own: the old ones then stand under
-- "NAME@GENERATION", a name that no topic can have. Rejected: a generation in every key and every query of the books, for what happens once in years.
--
-- Errors of our own, raised by the functions over these tables:
--   TM001 the claim no longer holds, or the ledger stands elsewhere · TM002 another consumer group stores this topic · TM003 the topic is on another cluster
--   TM004 the caller broke the contract · TM006 what an operator asks for is not so · TM008 the topic's books are closed · TM009 the topic was made anew
--   TM010 somebody's trigger or rule keeps the books from being written

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
-- entered_by_admin: such topics are not counted by limit_topics. topic_id: '' where it is not known (brokers before 2.8, or not asked yet).
CREATE TABLE tallymill.clusters (
  topic            text PRIMARY KEY,
  cluster_id       text NOT NULL,
  consumer_group   text NOT NULL,
  first_seen_at    timestamptz NOT NULL DEFAULT now(),
  entered_by_admin boolean NOT NULL DEFAULT pg_catalog.pg_has_role(session_user, 'tallymill_admin', 'MEMBER'),
  topic_id         text NOT NULL DEFAULT '',
  generation       integer NOT NULL DEFAULT 1 CHECK (generation > 0),
  retired_at       timestamptz
);

-- The ledger: one row for each topic partition that a committed batch touched. Only ever inserted, and merged, never updated per batch:
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
-- Rows that no merge has taken, in order of their ids; and intervals, by where they end.
CREATE INDEX batches_unmerged ON tallymill.batches (batch_id) WHERE batch_id = last_batch_id;
CREATE INDEX batches_merged ON tallymill.batches (last_batch_id) WHERE batch_id < last_batch_id;

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

-- Bad events, with their bytes. message_time is Kafka's record time. emptied_at: it grew old, its bytes went, its place and reason stay, so that the ledger can still be
-- counted against it.
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
  emptied_at      timestamptz,
  PRIMARY KEY (topic, topic_partition, kafka_offset)
);
-- Finds the dead letters that grow old.
CREATE INDEX dead_letters_with_bytes ON tallymill.dead_letters (dead_at) WHERE emptied_at IS NULL;

-- What keeps a worker from storing its batch (tell_trouble). Heard of again every few seconds, and gone once a batch is stored; a row that is older than a minute is of a worker that ended.
CREATE TABLE tallymill.troubles (
  topic    text NOT NULL,
  owner    text NOT NULL,
  sqlstate text NOT NULL,
  reason   text NOT NULL,
  since    timestamptz NOT NULL DEFAULT clock_timestamp(),
  said_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, owner)
);

GRANT SELECT ON tallymill.owners, tallymill.clusters, tallymill.batches, tallymill.gaps, tallymill.removals TO tallymill_ingest, tallymill_aggregate, tallymill_read;
GRANT SELECT ON tallymill.troubles TO tallymill_read;
-- Everything of a dead letter but its contents, which may be personal.
GRANT SELECT (topic, topic_partition, kafka_offset, reason, batch_id, message_time, dead_at, replayed_at, emptied_at)
  ON tallymill.dead_letters TO tallymill_aggregate, tallymill_read;
GRANT INSERT ON tallymill.dead_letters TO tallymill_ingest;
GRANT USAGE ON SEQUENCE tallymill.batch_ids TO tallymill_ingest;

RESET ROLE;
