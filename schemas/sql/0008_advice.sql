-- What `tallymill advise` found out about the dashboard's queries, run by run: "consistently slow" is what the last three say.

SET ROLE tallymill_admin;

CREATE TABLE tallymill.advice (
  ran_at       timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
  query_p95_us bigint NOT NULL CHECK (query_p95_us >= 0),
  source       text NOT NULL
);

GRANT SELECT ON tallymill.advice TO tallymill_aggregate, tallymill_read;
GRANT INSERT, DELETE ON tallymill.advice TO tallymill_aggregate;

RESET ROLE;
