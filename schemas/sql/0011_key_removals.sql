-- Whose keys are to go from the days of months that left: there are no events to count them anew from (tallymill.remove_keys). A row stays until all of its month's days were gone through.

SET ROLE tallymill_admin;

-- month '0001-01-01': from those who were seen before all days that are kept (tallymill.kept_keys).
CREATE TABLE tallymill.key_removals (
  removal  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  month    date NOT NULL,
  users    bigint[] NOT NULL,
  sessions text[] NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- The last removal that the day's keys have been through.
ALTER TABLE tallymill.unique_runs ADD COLUMN removal bigint NOT NULL DEFAULT 0;

-- Personal, as the keys are.
GRANT SELECT, DELETE ON tallymill.key_removals TO tallymill_aggregate;

-- Months may have left before.
INSERT INTO tallymill.changes (day, version) SELECT '0001-01-01', 1 WHERE EXISTS (SELECT FROM tallymill.first_seen) OR EXISTS (SELECT FROM tallymill.first_seen_internal);

RESET ROLE;
