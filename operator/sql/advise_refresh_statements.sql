SELECT max(s.mean_exec_time) AS refresh_ms
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.query ~* '^\s*REFRESH\s+MATERIALIZED\s+VIEW\M'
  AND EXISTS (SELECT FROM pg_class m JOIN pg_rewrite r ON r.ev_class = m.oid
              JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
              WHERE m.relkind = 'm' AND d.refobjid = 'public.analytics_events'::regclass AND strpos(s.query, m.relname) > 0);
