-- The plans of a cycle's first question. Runs in psql as it stands, after 0013.

SET ROLE tallymill_admin;

-- By index, whatever the statistics say of the ledger: without any, and that is what a session's first plan may be made with, Postgres reads all of a grown ledger,
-- once for each topic partition (seen: 1.2 ms of CPU a cycle at 2,000 rows, a fourth of the cycle).
ALTER FUNCTION tallymill.begin_cycle(bigint, interval, bigint, date[]) SET enable_seqscan = off;

RESET ROLE;
