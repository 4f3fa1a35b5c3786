-- Begins a cycle. One row: the leader's epoch and the time in us; none: another transaction holds the cycle's lock. A row that changed after the
-- snapshot is 40001. The day's reads are one process' work: parallel workers and JIT would only add to its CPU.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '60s';
SET LOCAL client_connection_check_interval = '1s'; SET LOCAL timezone = 'UTC'; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0;
SELECT l.epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM tallymill.leader l
WHERE pg_try_advisory_xact_lock(1952541804, 1) FOR UPDATE
