-- Months that leave and come back: what is written of each, and since when a user is known in those that left.

SET ROLE tallymill_admin;

-- One row for each time a month was written out. target: a directory, s3://BUCKET/PREFIX, or 'none' (dropped, and nothing kept). writing: nothing is promised of it. proven: it was read
-- back from the store and is equal to the month. dropped: the month is only there. superseded: a later generation holds the month, or it came to nothing.
-- row_hash is of the rows as COPY sends them; server_hash is what tallymill.month_sums says of the table, to be compared on the same server only.
CREATE TABLE tallymill.archives (
  month        date NOT NULL CHECK (extract(day FROM month) = 1),
  generation   integer NOT NULL CHECK (generation > 0),
  target       text NOT NULL,
  state        text NOT NULL CHECK (state IN ('writing', 'proven', 'dropped', 'superseded')),
  rows         bigint,
  foreign_rows bigint,
  row_hash     text,
  server_hash  numeric,
  bytes        bigint,
  parts        integer,
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  proven_at    timestamptz,
  dropped_at   timestamptz,
  restored_at  timestamptz,
  PRIMARY KEY (month, generation)
);

-- When a user was first seen (external events) in months that left analytics_events: what a rollup that looks back to a user's first event takes besides the rows. Written in the
-- transaction that drops a month.
CREATE TABLE tallymill.first_seen (
  user_id  bigint PRIMARY KEY,
  first_at timestamptz NOT NULL
);
-- The same of internal events, which the internal twins of rollups read instead.
CREATE TABLE tallymill.first_seen_internal (
  user_id  bigint PRIMARY KEY,
  first_at timestamptz NOT NULL
);

GRANT SELECT ON tallymill.archives, tallymill.first_seen, tallymill.first_seen_internal TO tallymill_aggregate, tallymill_read;

RESET ROLE;
