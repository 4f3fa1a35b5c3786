-- Who holds locks on what is ours (tables, advisory locks), sessions and prepared transactions, for a second or longer: asked when one was waited for in vain. A line each, two at most,
-- in the order in which a lock keeps others out: who reads for an hour keeps nobody from storing, who has had ACCESS EXCLUSIVE for two seconds does.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.lock_holders() RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  here constant oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
BEGIN
  RETURN QUERY
  SELECT CASE WHEN h.pid IS NULL THEN format('the prepared transaction %L (login %s) holds %s, it is %s old; to end it: ROLLBACK PREPARED %1$L',
                                             h.gid, h.owner, h.what, date_trunc('second', clock_timestamp() - h.since))
              ELSE format('pid %s (%s, login %s, %s) holds %s%s; to end it: SELECT pg_terminate_backend(%1$s)',
                          h.pid, coalesce(nullif(h.application_name, ''), 'an application without a name'), h.usename,
                          coalesce(h.state, 'state and age hidden from this login without pg_read_all_stats'), h.what,
                          ', its transaction is ' || date_trunc('second', clock_timestamp() - h.since) || ' old') END
  FROM (SELECT DISTINCT ON (l.pid, x.gid) l.pid, x.gid, x.owner, a.application_name, a.usename, a.state, coalesce(x.prepared, a.xact_start) AS since,
               CASE WHEN l.locktype = 'relation' THEN format('%s on %s', l.mode, l.relation::regclass)
                    WHEN l.objsubid = 2 THEN 'the advisory lock of the aggregator''s cycles'
                    WHEN (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('tallymill.migrate', 0) THEN 'the advisory lock of tallymill migrate'
                    WHEN (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('tallymill.make_month', 0) THEN 'the advisory lock of making months'
                    ELSE 'the advisory lock of entering topics' END AS what,
               r.rank
        FROM pg_locks l
        LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        LEFT JOIN pg_prepared_xacts x ON l.pid IS NULL AND split_part(l.virtualtransaction, '/', 2) = x.transaction::text
        LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
        CROSS JOIN LATERAL (SELECT CASE WHEN l.locktype = 'advisory' THEN 2
          ELSE array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', 'ShareUpdateExclusiveLock',
                                    'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], l.mode) END AS rank) r
        WHERE l.granted AND l.database = here AND l.pid IS DISTINCT FROM pg_backend_pid() AND (l.pid IS NOT NULL OR x.gid IS NOT NULL)
          AND (l.locktype = 'relation' AND (c.relnamespace = 'tallymill'::regnamespace OR c.relname LIKE 'analytics@_%' ESCAPE '@'
                 OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = 'public.analytics_events'::regclass))
               OR l.locktype = 'advisory' AND (l.objsubid = 2 AND l.classid::bigint = 1952541804 AND l.objid::bigint = 1
                 OR l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint IN (hashtextextended('tallymill.migrate', 0),
                      hashtextextended('tallymill.make_month', 0), hashtextextended('tallymill.clusters', 0))))
          AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - interval '1 second')
        ORDER BY l.pid, x.gid, r.rank, c.relkind = 'i', c.relname) h
  ORDER BY h.rank > 1, h.state LIKE 'idle in transaction%' DESC NULLS LAST, h.rank, h.since LIMIT 2;
END
$$;

REVOKE ALL ON FUNCTION tallymill.lock_holders() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.lock_holders() TO tallymill_ingest, tallymill_aggregate, tallymill_read;

RESET ROLE;
