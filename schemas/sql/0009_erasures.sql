-- Receipts of what was erased for a person's sake: what was asked, what went, and what could not be reached.

SET ROLE tallymill_admin;

-- One row for each run of `tallymill erase` that began. counts: {"rows": {"2026-01": 12}, "dead_letters": 1, "undecodable": 1}, raised in the transactions that take the
-- rows away, so that a run that was killed loses none. receipt: the order in which they ended, from 1 without a hole; NULL: it has not ended, and is gone on with by the next run for the same.
-- hash: SHA-256 over all else (tallymill.erasure_hash), before_hash that of the receipt before: who changes or takes away one breaks the chain, and `tallymill audit` says so.
-- kafka_until: until then Kafka itself may still have the messages; NULL: not known, or for ever (remarks say which).
CREATE TABLE tallymill.erasures (
  erasure     bigint PRIMARY KEY CHECK (erasure > 0),
  asked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  asked_by    text NOT NULL,
  users       bigint[] NOT NULL,
  sessions    text[] NOT NULL,
  counts      jsonb NOT NULL DEFAULT '{}',
  is_complete boolean,
  remarks     text[] NOT NULL DEFAULT '{}',
  kafka_until timestamptz,
  finished_at timestamptz,
  receipt     bigint UNIQUE CHECK (receipt > 0),
  before_hash bytea,
  hash        bytea,
  CHECK ((receipt IS NULL) = (hash IS NULL)),
  CHECK (cardinality(users) + cardinality(sessions) > 0)
);

-- The newest receipt, so that the last one cannot be taken away without being missed.
CREATE TABLE tallymill.erasure_chain (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  receipts bigint NOT NULL,
  hash     bytea NOT NULL
);
INSERT INTO tallymill.erasure_chain (receipts, hash) VALUES (0, '');

GRANT SELECT ON tallymill.erasures, tallymill.erasure_chain TO tallymill_aggregate, tallymill_read;

RESET ROLE;
