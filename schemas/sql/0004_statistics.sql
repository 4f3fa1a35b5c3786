-- The daily statistics, how far they have taken the ledger in, and who keeps them.

SET ROLE tallymill_admin;

-- The plan's table. bigint where the plan says integer: a busy name passes 2^31 events a day at 25,000/s.
CREATE TABLE public.analytics_daily_stats (
  date            date NOT NULL,
  event_name      varchar(100) COLLATE "C" NOT NULL,
  event_count     bigint NOT NULL DEFAULT 0,
  unique_sessions bigint NOT NULL DEFAULT 0,
  unique_users    bigint NOT NULL DEFAULT 0,
  created_at      timestamptz DEFAULT now(),
  PRIMARY KEY (date, event_name)
);
GRANT SELECT ON public.analytics_daily_stats TO tallymill_read;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.analytics_daily_stats TO tallymill_aggregate;

-- How far the daily statistics have taken the ledger in.
CREATE TABLE tallymill.folded (
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  next_offset     bigint NOT NULL,
  PRIMARY KEY (topic, topic_partition)
);

-- What each batch adds to the daily statistics (common/delta.h), written in the batch's transaction, so that the aggregator need not read its rows back. Gone once they are
-- folded. Unlogged: no WAL, and empty after a crash or a failover; then the rows are read.
CREATE UNLOGGED TABLE tallymill.deltas (
  batch_id bigint PRIMARY KEY,
  delta    bytea NOT NULL
);
-- Session ids are random: compressing them would cost time and gain nothing.
ALTER TABLE tallymill.deltas ALTER COLUMN delta SET STORAGE EXTERNAL;

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
-- The days that a cycle asks for, among all that there ever were.
CREATE INDEX days_not_settled ON tallymill.days (day) WHERE closed_at IS NULL OR dirty_since IS NOT NULL;

-- How often the events of a day changed. The aggregator raises it in the transaction that changes the day's statistics.
-- A table of its own: it is updated in every cycle, tallymill.days is not.
CREATE TABLE tallymill.changes (
  day     date PRIMARY KEY,
  version bigint NOT NULL
) WITH (fillfactor = 50);

-- Which aggregator leads. Every transaction of the leader locks this row and compares the epoch.
-- A standby takes over when the leader's session is gone, or when neither seen_at nor its transaction has moved for a while. The session is
-- named by pid and start, and only when no pooler stands between (there the pid would be of a connection that others use too).
CREATE TABLE tallymill.leader (
  only_one      boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  epoch         bigint NOT NULL DEFAULT 0,
  leader        text NOT NULL DEFAULT '',
  claimed_at    timestamptz NOT NULL DEFAULT now(),
  seen_at       timestamptz NOT NULL DEFAULT now(),
  backend_pid   integer,
  backend_start timestamptz
);
INSERT INTO tallymill.leader DEFAULT VALUES;

GRANT SELECT ON tallymill.folded, tallymill.days, tallymill.leader TO tallymill_ingest, tallymill_aggregate, tallymill_read;
GRANT SELECT ON tallymill.changes TO tallymill_aggregate, tallymill_read;
GRANT INSERT, UPDATE, DELETE ON tallymill.folded, tallymill.days, tallymill.changes TO tallymill_aggregate;
GRANT UPDATE ON tallymill.leader TO tallymill_aggregate;
GRANT SELECT, DELETE ON tallymill.deltas TO tallymill_aggregate;

RESET ROLE;
