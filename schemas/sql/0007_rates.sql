-- What was stored a minute, of each topic: the ledger's own rows go when they are merged.

SET ROLE tallymill_admin;

-- Written by the merge of the ledger, in the transaction that takes its rows away, and kept for 400 days. What is not merged yet is in tallymill.batches: the two together are exact.
CREATE TABLE tallymill.rates (
  minute       timestamptz NOT NULL,
  topic        text NOT NULL,
  stored       bigint NOT NULL,
  duplicates   bigint NOT NULL,
  dead_letters bigint NOT NULL,
  skipped      bigint NOT NULL,
  batches      bigint NOT NULL,
  PRIMARY KEY (minute, topic)
);
GRANT SELECT ON tallymill.rates TO tallymill_read;

RESET ROLE;
