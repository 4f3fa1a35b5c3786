-- Tables of ours that hold more dead rows than live ones, and a database whose transaction ids run out. Columns as in doctor_server.sql.
SELECT false AS is_finding, t.relid::regclass::text AS object,
       format('table %s has %s dead rows beside %s live ones%s', t.relid::regclass, t.n_dead_tup, t.n_live_tup,
              coalesce(', the last autovacuum was ' || date_trunc('second', clock_timestamp() - t.last_autovacuum) || ' ago', ', no autovacuum has run')) AS what,
       'every look at it reads the dead ones too' AS why, format('VACUUM (ANALYZE) %s', t.relid::regclass) AS remedy
FROM pg_catalog.pg_stat_user_tables t
WHERE (t.schemaname = 'tallymill' OR t.relname LIKE 'analytics@_%' ESCAPE '@') AND t.n_dead_tup > 100000 AND t.n_dead_tup > t.n_live_tup
UNION ALL
SELECT true, 'transaction ids', format('the oldest transaction id of database %s is %s transactions old', d.datname, age(d.datfrozenxid)),
       'at two thousand million the server refuses to write', 'VACUUM (FREEZE) -- and look why autovacuum does not: old transactions, prepared ones, slots'
FROM pg_catalog.pg_database d WHERE d.datname = current_database() AND age(d.datfrozenxid) > 1000000000
