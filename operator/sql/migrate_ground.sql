-- What the database is like before the first migration: whether it can hold the schema, and what the current user may do.
SELECT current_user AS login, current_database() AS database, current_setting('server_version_num')::integer AS server_version,
       current_setting('server_version') AS server_version_text,
       pg_encoding_to_char((SELECT encoding FROM pg_database WHERE datname = current_database())) AS encoding,
       pg_is_in_recovery() AS is_standby,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'tallymill' AND c.relname = 'schema_version') AS has_schema,
       to_regclass('tallymill_adopt.analytics_events') IS NOT NULL AS is_adopting,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) AS may_create_roles,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
         OR pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE')
         OR has_schema_privilege('public', 'CREATE WITH GRANT OPTION') AS may_grant_public,
       pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE') AS owns_public,
       (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public') AS public_owner,
       pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') AS owns_database,
       (SELECT coalesce(string_agg(name, ', '), '') FROM unnest(ARRAY['tallymill_admin', 'tallymill_ingest', 'tallymill_aggregate',
          'tallymill_read']) AS name WHERE to_regrole(name) IS NULL) AS missing_roles,
       coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'tallymill_admin'), false) AS is_admin,
       -- From 16 on a login may act as a role, or hand it on, only as it was told: what the first migration needs and the login lacks, as statements; and who may run them.
       (SELECT coalesce(string_agg(format('GRANT %I TO %I WITH ADMIN TRUE, SET TRUE;', r.rolname, current_user), ' ' ORDER BY r.rolname), '')
        FROM pg_roles r
        WHERE r.rolname IN ('tallymill_admin', 'tallymill_read') AND current_setting('server_version_num')::integer >= 160000
          AND NOT CASE WHEN current_setting('server_version_num')::integer < 160000 THEN true
                       WHEN r.rolname = 'tallymill_read' THEN pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION')
                       ELSE pg_has_role(current_user, r.oid, 'SET') OR pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION') END) AS lacking_grants,
       (SELECT coalesce(string_agg(DISTINCT quote_ident(pg_get_userbyid(m.member)), ', '), '')
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
        WHERE r.rolname = 'tallymill_admin' AND m.admin_option AND pg_get_userbyid(m.member) <> current_user
          AND NOT (SELECT o.rolsuper FROM pg_roles o WHERE o.oid = m.member)) AS grantors,
       (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.analytics_events')) AS events_kind,
       to_regclass('public.analytics_daily_stats') IS NOT NULL AS has_daily_stats;
