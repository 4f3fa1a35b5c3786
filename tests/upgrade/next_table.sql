-- A table of the next release: which batches its commit_batch committed.

SET ROLE tallymill_admin;

CREATE TABLE tallymill.next_commits (batch_id bigint PRIMARY KEY);

RESET ROLE;
