-- Whose login this is, and who may store: one row. is_*: the roles of ours that the login has (a superuser has them all). may_store: logins that may (superusers left out). refused_workers:
-- logins that are connected as workers and may not. Nothing of the schema is read, so that any login can be asked.
WITH roles AS (
  SELECT rolname, oid FROM pg_catalog.pg_roles WHERE rolname IN ('tallymill_ingest', 'tallymill_aggregate', 'tallymill_read', 'tallymill_admin')
), storing AS (  -- rights by name are as good as the role
  SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'tallymill' AND p.proname = 'commit_batch'
), logins AS MATERIALIZED (
  SELECT l.rolname, l.oid, l.rolsuper,
         EXISTS (SELECT FROM roles r WHERE r.rolname = 'tallymill_ingest' AND pg_has_role(l.oid, r.oid, 'USAGE')) OR EXISTS (SELECT FROM storing s WHERE has_function_privilege(l.oid, s.oid, 'EXECUTE')) AS may_store
    FROM pg_catalog.pg_roles l WHERE l.rolcanlogin
)
SELECT coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM roles WHERE rolname = 'tallymill_ingest'), false) AS is_worker,
       coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM roles WHERE rolname = 'tallymill_aggregate'), false) AS is_aggregator,
       coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM roles WHERE rolname = 'tallymill_read'), false) AS is_reader,
       coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM roles WHERE rolname = 'tallymill_admin'), false) AS is_admin,
       coalesce((SELECT string_agg(l.rolname, ', ' ORDER BY l.rolname) FROM logins l WHERE l.may_store AND NOT l.rolsuper AND NOT EXISTS (SELECT FROM roles r WHERE r.rolname = 'tallymill_admin' AND pg_has_role(l.oid, r.oid, 'MEMBER'))), '') AS may_store,
       coalesce((SELECT string_agg(DISTINCT l.rolname, ', ') FROM logins l JOIN pg_catalog.pg_stat_activity a ON a.usesysid = l.oid
                  WHERE a.datname = current_database() AND a.application_name = 'tallymill-consumer' AND NOT l.may_store), '') AS refused_workers,
       coalesce((SELECT '"' || replace(min(l.rolname), '"', '""') || '"' FROM logins l JOIN pg_catalog.pg_stat_activity a ON a.usesysid = l.oid
                  WHERE a.datname = current_database() AND a.application_name = 'tallymill-consumer' AND NOT l.may_store), '') AS refused_worker
