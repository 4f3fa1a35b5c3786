-- What there is to ask: the table, whether it may be read, whether the schema is ours, and whether pg_stat_statements is there.
SELECT current_database() AS database, now() AS taken_at, c.relkind::text AS events_kind,
       coalesce(has_table_privilege(c.oid, 'SELECT'), false) AS may_read,
       EXISTS (SELECT FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace WHERE n.nspname = 'tallymill' AND v.relname = 'schema_version') AS has_schema,
       coalesce(has_table_privilege(to_regclass('public.analytics_daily_stats'), 'SELECT'), false) AS may_read_daily_stats,
       (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements') AS statements_schema,
       (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = c.oid AND NOT i.inhdetachpending) AS months_attached,
       (SELECT string_agg(name, ', ') FROM unnest(ARRAY['event_name', 'session_id', 'event_data', 'is_internal', 'created_at']) AS name
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = name AND NOT a.attisdropped)) AS missing_columns,
       -- A materialized view that reads the table, or one of its table partitions.
       (SELECT count(DISTINCT m.oid)
        FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class m ON m.oid = r.ev_class AND m.relkind = 'm'
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
          AND (d.refobjid = c.oid OR d.refobjid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.oid))) AS materialized_views
FROM (SELECT to_regclass('public.analytics_events') AS oid) t
LEFT JOIN pg_class c ON c.oid = t.oid;
