-- Rollups: tables that are made of one query for one day, declared in files (schemas/rollups), defined by `tallymill migrate`, run by the
-- aggregator, compared by `tallymill verify`. And how long the materialized views took.
--
-- A rollup's rows and the version of the day that they are of commit together. So whoever reads both in one snapshot knows whether
-- the rows are up to date, and if they are, they equal the query, bit for bit: over the same events that analytics_daily_stats holds.

SET ROLE tallymill_admin;

-- What the files declare. definition goes up when a file's query changes: everything is then computed anew.
-- is_range: its query reads range_events and gives its period (date, or week) itself.
-- names: how the names in the query are found. `migrate` tries it with Postgres's own alone: a query that names the schemas of all else runs so, and no look-alike that somebody
-- plants in `public` is taken for what it calls. Those that do not run as before.
CREATE TABLE tallymill.rollups (
  rollup        text PRIMARY KEY,
  target        text NOT NULL UNIQUE,
  period_days   integer NOT NULL CHECK (period_days IN (1, 7)),
  period_column text NOT NULL,
  key_columns   text[] NOT NULL,
  value_columns text[] NOT NULL CHECK (cardinality(value_columns) > 0),
  cadence       interval NOT NULL,
  looks_back    boolean NOT NULL,
  query         text NOT NULL,
  definition    integer NOT NULL DEFAULT 1,
  defined_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  retired_at    timestamptz,
  is_range      boolean NOT NULL DEFAULT false,
  names         text NOT NULL DEFAULT 'pg_catalog, public, pg_temp' CHECK (names IN ('pg_catalog, pg_temp', 'pg_catalog, public, pg_temp'))
);

-- One row for each rollup and period (a day, or the week that begins on that Monday) that was computed.
CREATE TABLE tallymill.rollup_runs (
  rollup            text NOT NULL,
  first_day         date NOT NULL,
  version           bigint,
  definition        integer,
  ran_at            timestamptz,
  took_us           bigint,
  error             text,
  failed_at         timestamptz,
  failed_definition integer,
  PRIMARY KEY (rollup, first_day)
) WITH (fillfactor = 70);

-- How long each refresh of a materialized view took: more than five minutes is the plan's sign to leave Phase 2. error NULL: it went well.
CREATE TABLE tallymill.refreshes (
  view       text NOT NULL,
  started_at timestamptz NOT NULL,
  took_us    bigint NOT NULL,
  error      text,
  PRIMARY KEY (view, started_at)
);

GRANT SELECT ON tallymill.rollups, tallymill.rollup_runs, tallymill.refreshes TO tallymill_aggregate, tallymill_read;
GRANT INSERT, UPDATE, DELETE ON tallymill.rollup_runs TO tallymill_aggregate;

RESET ROLE;
