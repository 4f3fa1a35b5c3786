-- The plans of a cycle's first question. Runs in psql as it stands, after 0013.

SET ROLE tallymill_admin;

-- By index, whatever the statistics say of the ledger: they know a table that grows all day as it was at the last ANALYZE, the session keeps its plans, and
-- a plan made for an almost empty ledger reads all of it once for each topic partition (seen: 1.2 ms of CPU a cycle at 2,000 rows, a fourth of the cycle).
ALTER FUNCTION tallymill.begin_cycle(bigint, interval, bigint, date[]) SET enable_seqscan = off;

RESET ROLE;
