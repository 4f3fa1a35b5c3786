-- Where an adoption stands, and what there is to take over. step: '' none is under way.
WITH RECURSIVE tables (oid) AS (SELECT to_regclass('public.analytics_events') UNION SELECT to_regclass('public.analytics_daily_stats')),
found (oid, kind) AS ( -- the views on them, and those on these: as tallymill_adopt.walk() finds them
  SELECT c.oid, c.relkind FROM tables t JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
  UNION
  SELECT c.oid, c.relkind FROM found f JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = f.oid
  JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> f.oid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm') WHERE f.kind = 'v')
SELECT current_database() AS database, c.relkind::text AS kind, c.oid IS NOT NULL AS is_there,
       to_regclass('tallymill_adopt.state') IS NOT NULL AS has_state,
       to_regclass('tallymill.schema_version') IS NOT NULL AS has_schema,
       coalesce(pg_has_role(current_user, c.relowner, 'USAGE'), false) AS may_alter, pg_get_userbyid(c.relowner) AS owner, current_user AS login,
       coalesce(greatest(c.reltuples, 0), 0)::bigint AS rows, coalesce(pg_total_relation_size(c.oid), 0) AS bytes,
       (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') AS foreign_keys,
       (SELECT coalesce(string_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), '; ' ORDER BY k.conname), '') FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') AS foreign_key_texts,
       (SELECT coalesce(string_agg(quote_ident(k.conname), ', ' ORDER BY k.conname), '') FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks,
       (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id' AND NOT a.attisdropped) AS id_type,
       (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'created_at' AND NOT a.attisdropped) AS created_at_type,
       to_regclass('public.analytics_daily_stats') IS NOT NULL AS has_daily_stats,
       (SELECT coalesce(string_agg(format('%I.%I', n.nspname, v.relname), ', ' ORDER BY n.nspname, v.relname), '')
        FROM found f JOIN pg_class v ON v.oid = f.oid JOIN pg_namespace n ON n.oid = v.relnamespace WHERE f.kind = 'v') AS views,
       (SELECT coalesce(string_agg(format('%I.%I', n.nspname, v.relname), ', ' ORDER BY n.nspname, v.relname), '')
        FROM found f JOIN pg_class v ON v.oid = f.oid JOIN pg_namespace n ON n.oid = v.relnamespace WHERE f.kind = 'm') AS materialized_views,
       (SELECT coalesce(string_agg(DISTINCT p.oid::regprocedure::text, ', '), '') FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid AND p.prosqlbody IS NOT NULL
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND (d.refobjid IN (SELECT x.oid FROM tables x) OR d.refobjid IN (SELECT f.oid FROM found f))) AS functions,
       (SELECT coalesce(string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname), '') FROM pg_publication p
        WHERE p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid = 'public'::regnamespace)) AS publications,
       -- Asked of the rows in one pass: what the new table would not take.
       format('SELECT count(*) AS rows, min(o.created_at)::text AS first, max(o.created_at)::text AS last, count(*) FILTER (WHERE o.created_at IS NULL) AS without_time,
                      count(*) FILTER (WHERE o.created_at < ''1970-01-01'' OR o.created_at > now() + interval ''3600 days'') AS beyond_time,
                      count(*) FILTER (WHERE o.event_name IS NULL OR length(o.event_name) > 100) AS bad_names, %s AS bad_categories, %s AS bad_sessions,
                      %s AS bad_data FROM public.analytics_events o',
              CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'event_category') THEN 'count(*) FILTER (WHERE length(o.event_category) > 50)' ELSE '0' END,
              CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'session_id') THEN 'count(*) FILTER (WHERE length(o.session_id::text) > 255)' ELSE '0' END,
              CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'event_data' AND a.atttypid = 'json'::regtype)
                   THEN 'count(*) FILTER (WHERE o.event_data::text ~ ''(^|[^\\])(\\\\)*\\u0000'')' ELSE '0' END) AS rows_query
FROM (SELECT to_regclass('public.analytics_events') AS oid) t LEFT JOIN pg_class c ON c.oid = t.oid;
