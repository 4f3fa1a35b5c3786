-- Who keeps sessions of this database waiting for a lock: a row for each that waits and each at the end of its chain, who waits for nobody.
-- is_ours: it is a program of ours that waits, or a table of ours that is waited for. self: the server process that answers.
-- What another login hides from ours (state, age) is said to be hidden. Answers in any database, whether it has our schema or not.
-- A standby keeps sessions waiting too: a COMMIT that synchronous_standby_names has wait for one waits without limit, and no time-out of the server ends it.
WITH RECURSIVE waits AS MATERIALIZED (
  SELECT DISTINCT ON (l.pid) l.pid, l.locktype, l.relation, l.classid, l.objid, l.objsubid, l.transactionid, a.application_name, a.usename
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE NOT l.granted AND a.datname = current_database() AND a.pid <> pg_backend_pid()
  ORDER BY l.pid
), chain (pid, holder, depth) AS (
  SELECT w.pid, b.pid, 1 FROM waits w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
  UNION
  SELECT c.pid, b.pid, c.depth + 1 FROM chain c CROSS JOIN LATERAL unnest(pg_blocking_pids(c.holder)) AS b (pid)
  WHERE c.holder <> 0 AND c.depth < 8
), ends AS (
  SELECT w.*, e.holder, x.gid, x.prepared, x.owner AS prepared_by,
         -- what is waited for; a row's table is guessed from what both have a hold on
         CASE WHEN w.locktype = 'relation' THEN w.relation
              WHEN w.locktype IN ('tuple', 'transactionid', 'virtualxid') THEN coalesce(
                nullif(w.relation, 0),
                (SELECT t.relation FROM pg_catalog.pg_locks t WHERE t.pid = w.pid AND t.locktype = 'tuple' LIMIT 1),
                (SELECT m.relation FROM pg_catalog.pg_locks m JOIN pg_catalog.pg_locks h ON h.relation = m.relation
                   JOIN pg_catalog.pg_class c ON c.oid = m.relation AND c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace
                 WHERE m.pid = w.pid AND h.pid = e.holder AND m.locktype = 'relation' AND h.locktype = 'relation'
                   AND m.mode IN ('RowShareLock', 'RowExclusiveLock') AND h.mode IN ('RowShareLock', 'RowExclusiveLock')
                 ORDER BY m.mode = h.mode DESC, m.relation DESC LIMIT 1)) END AS place
  FROM waits w
  JOIN (SELECT DISTINCT c.pid, c.holder FROM chain c WHERE cardinality(pg_blocking_pids(c.holder)) = 0) e ON e.pid = w.pid
  LEFT JOIN LATERAL (
    SELECT p.gid, p.prepared, p.owner FROM pg_catalog.pg_prepared_xacts p
    JOIN pg_catalog.pg_locks l ON l.pid IS NULL AND split_part(l.virtualtransaction, '/', 2) = p.transaction::text
    WHERE e.holder = 0 AND (l.relation = w.relation OR l.transactionid = w.transactionid) LIMIT 1) x ON true
), holds AS (
  SELECT e.*, a.application_name AS held_by, a.usename AS held_login, a.state, a.xact_start, a.backend_type,
         CASE WHEN e.locktype = 'relation' THEN concat_ws(' on ', (
                SELECT h.mode FROM pg_catalog.pg_locks h
                WHERE h.relation = e.relation AND h.locktype = 'relation' AND h.granted AND h.pid IS NOT DISTINCT FROM nullif(e.holder, 0)
                ORDER BY array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', 'ShareUpdateExclusiveLock',
                  'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], h.mode) LIMIT 1), e.relation::regclass)
              WHEN e.locktype = 'advisory' THEN 'the advisory lock ' || CASE
                WHEN e.objsubid = 2 AND e.classid::bigint = 1952541804 THEN 'of the aggregator''s cycles'
                WHEN e.objsubid = 1 AND (e.classid::bigint << 32) | e.objid::bigint = hashtextextended('tallymill.migrate', 0) THEN 'of tallymill migrate'
                WHEN e.objsubid = 1 AND (e.classid::bigint << 32) | e.objid::bigint = hashtextextended('tallymill.make_month', 0) THEN 'of making months'
                WHEN e.objsubid = 1 AND (e.classid::bigint << 32) | e.objid::bigint = hashtextextended('tallymill.archive', 0) THEN 'of tallymill archive'
                WHEN e.objsubid = 1 AND (e.classid::bigint << 32) | e.objid::bigint = hashtextextended('tallymill.clusters', 0) THEN 'of entering topics'
                ELSE format('%s/%s', e.classid, e.objid) END
              WHEN e.place IS NOT NULL THEN 'a row of ' || e.place::regclass::text
              ELSE format('a lock (%s)', e.locktype) END AS what
  FROM ends e
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = e.holder
), told AS (
  SELECT h.pid, h.application_name, h.usename, pg_backend_pid() AS self,
         h.application_name LIKE 'tallymill%' OR EXISTS (
           SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE c.oid = h.place AND (n.nspname = 'tallymill' OR c.relname LIKE 'analytics@_%' ESCAPE '@')) AS is_ours,
         CASE WHEN h.holder = 0 THEN format('the prepared transaction %L (login %s) holds %s, it is %s old; to end it: ROLLBACK PREPARED %1$L',
                                            coalesce(h.gid, '?'), coalesce(h.prepared_by, '?'), h.what, date_trunc('second', clock_timestamp() - h.prepared))
              ELSE format('pid %s (%s, login %s, %s) holds %s%s; to end it: SELECT pg_terminate_backend(%1$s)', h.holder,
                          coalesce(nullif(h.held_by, ''), nullif(h.backend_type, 'client backend'), 'an application without a name'),
                          coalesce(h.held_login, '?'), coalesce(h.state, 'state and age hidden from this login without pg_read_all_stats'), h.what,
                          ', its transaction is ' || date_trunc('second', clock_timestamp() - h.xact_start) || ' old') END AS holder,
         h.xact_start
  FROM holds h
  UNION ALL
  SELECT a.pid, a.application_name, a.usename, pg_backend_pid(), a.application_name LIKE 'tallymill%',
         format('a standby that has not confirmed holds the COMMIT (synchronous_standby_names = %L), for %s; to end it: start that standby, or ALTER SYSTEM RESET synchronous_standby_names; '
                'SELECT pg_reload_conf()', current_setting('synchronous_standby_names'), date_trunc('second', clock_timestamp() - a.state_change)), NULL
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datname = current_database() AND a.wait_event = 'SyncRep' AND a.state_change < clock_timestamp() - interval '1 second'
)
SELECT t.pid, t.application_name, t.usename, t.self, t.is_ours, t.holder FROM told t ORDER BY t.pid, t.xact_start NULLS LAST
