-- Exact uniques of any range of days (schemas/uniques.md): for each subject, kind of key and day, how many keys were seen, by the last earlier day on which each of them was.
-- A key counts in a range once: on its first day there, whose previous day lies before the range.

SET ROLE tallymill_admin;

-- previous_date '-infinity': not seen before. The sum over previous_date is the day's own number of distinct keys.
CREATE TABLE public.analytics_daily_uniques (
  subject       text COLLATE "C" NOT NULL,
  kind          text COLLATE "C" NOT NULL CHECK (kind IN ('session', 'user')),
  population    text COLLATE "C" NOT NULL CHECK (population IN ('external', 'internal', 'all')),
  date          date NOT NULL,
  previous_date date NOT NULL CHECK (previous_date < date),
  keys          bigint NOT NULL,
  PRIMARY KEY (subject, kind, population, date, previous_date)
);
-- There is never such a row at a commit; it would be one that was corrected twice.
CREATE INDEX analytics_daily_uniques_negative ON public.analytics_daily_uniques (date) WHERE keys < 0;

-- Which events a subject is about: a boolean condition over the columns of tallymill.day_events. A bit never changes its meaning.
CREATE TABLE tallymill.unique_subjects (
  bit        integer PRIMARY KEY CHECK (bit BETWEEN 0 AND 62),
  subject    text COLLATE "C" NOT NULL UNIQUE,
  condition  text NOT NULL,
  defined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  retired_at timestamptz
);

-- Every transaction that changes the matrix changes this row first: so they come one after the other, whoever leads, and one with an older snapshot gets 40001.
-- definition goes up when the subjects change. stored_run: the last run that changed tallymill.day_keys. kept_from: keys of days before it are gone, and ranges
-- that begin before it are counted at most.
CREATE TABLE tallymill.unique_state (
  only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  definition integer NOT NULL DEFAULT 0,
  run        bigint NOT NULL DEFAULT 0,
  stored_run bigint NOT NULL DEFAULT 0,
  kept_from  date NOT NULL DEFAULT '-infinity'
);
INSERT INTO tallymill.unique_state DEFAULT VALUES;

-- Of which version of its events a day's uniques are. is_stored: its keys are in tallymill.day_keys. The newest day's are not: it changes all the time, and no day is behind it.
CREATE TABLE tallymill.unique_runs (
  day               date PRIMARY KEY,
  version           bigint,
  definition        integer,
  run               bigint,
  is_stored         boolean NOT NULL DEFAULT false,
  ran_at            timestamptz,
  took_us           bigint,
  error             text,
  failed_at         timestamptz,
  failed_definition integer
) WITH (fillfactor = 70);

-- The keys of a day, each with the subjects that it was seen under (aggregator/key_list.h): those of the slots from part up to next_part, of 256. One run at each commit.
CREATE TABLE tallymill.day_keys (
  day       date NOT NULL,
  kind      text COLLATE "C" NOT NULL,
  run       bigint NOT NULL,
  part      integer NOT NULL,
  next_part integer NOT NULL CHECK (next_part > part),
  keys      bytea NOT NULL,
  PRIMARY KEY (day, kind, run, part)
);
ALTER TABLE tallymill.day_keys ALTER COLUMN keys SET STORAGE EXTERNAL; -- compressed already

-- The secret by which text that is no UUID becomes a key of 16 bytes: one for the database, since keys are compared with those of years ago.
CREATE TABLE tallymill.unique_secret (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  secret   bytea NOT NULL CHECK (length(secret) = 192)
);
INSERT INTO tallymill.unique_secret (secret)
  SELECT sha512(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || sha512(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
      || sha512(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

GRANT SELECT ON public.analytics_daily_uniques, tallymill.unique_subjects, tallymill.unique_state, tallymill.unique_runs TO tallymill_read;
GRANT INSERT, UPDATE, DELETE ON public.analytics_daily_uniques, tallymill.unique_runs TO tallymill_aggregate;
GRANT UPDATE ON tallymill.unique_state TO tallymill_aggregate;
-- Who was there on which day is personal: nobody reads it but the aggregator.
GRANT SELECT, INSERT, DELETE ON tallymill.day_keys TO tallymill_aggregate;
GRANT SELECT ON tallymill.unique_secret TO tallymill_aggregate;

-- The events of people of ours: few, and without it a day of them costs a look at the whole month. Only the parent's here, which is quick; `tallymill migrate` builds the months'.
CREATE INDEX idx_analytics_events_internal ON ONLY public.analytics_events (created_at) WHERE is_internal;

RESET ROLE;
