-- What the database is like before the first migration: whether it can hold the schema, and what the current user may do.
SELECT current_user AS login, current_database() AS database, current_setting('server_version_num')::integer AS server_version,
       current_setting('server_version') AS server_version_text,
       pg_encoding_to_char((SELECT encoding FROM pg_database WHERE datname = current_database())) AS encoding,
       pg_is_in_recovery() AS is_standby,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'tallymill' AND c.relname = 'schema_version') AS has_schema,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) AS may_create_roles,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
         OR pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE')
         OR has_schema_privilege('public', 'CREATE WITH GRANT OPTION') AS may_grant_public,
       (SELECT coalesce(string_agg(name, ', '), '') FROM unnest(ARRAY['tallymill_admin', 'tallymill_ingest', 'tallymill_aggregate',
          'tallymill_read']) AS name WHERE to_regrole(name) IS NULL) AS missing_roles,
       coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'tallymill_admin'), false) AS is_admin,
       (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.analytics_events')) AS events_kind,
       to_regclass('public.analytics_daily_stats') IS NOT NULL AS has_daily_stats;
