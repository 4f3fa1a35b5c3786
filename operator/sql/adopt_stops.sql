-- What stops an adoption, each with what to do: before it begins, and once more when the names are about to change. $1: the time zone that was given ('' none); $2: whether ids may
-- become UUIDs; $3: whether publications may publish the months; $4: the tables that `tallymill migrate` will make of the files of rollups.dir.
WITH RECURSIVE t AS (SELECT c.* FROM pg_class c WHERE c.oid = 'public.analytics_events'::regclass),
columns AS (SELECT a.*, format_type(a.atttypid, NULL) AS kind FROM pg_attribute a JOIN t ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped),
known (name, kinds, is_needed) AS (VALUES
  ('id', ARRAY['uuid', 'integer', 'bigint', 'smallint'], true), ('event_name', ARRAY['character varying', 'text', 'character'], true),
  ('event_category', ARRAY['character varying', 'text', 'character'], false), ('session_id', ARRAY['character varying', 'text', 'character', 'uuid'], false),
  ('user_id', ARRAY['integer', 'bigint', 'smallint'], false), ('event_data', ARRAY['jsonb', 'json'], false), ('is_internal', ARRAY['boolean'], false),
  ('created_at', ARRAY['timestamp with time zone', 'timestamp without time zone'], true)),
tables (oid, name) AS (SELECT t.oid, 'public.analytics_events' FROM t UNION ALL
                       SELECT c.oid, 'public.analytics_daily_stats' FROM pg_class c WHERE c.oid = to_regclass('public.analytics_daily_stats') AND c.relkind NOT IN ('v', 'm')),
found (view, kind, level, is_direct) AS ( -- the views on them, and those on these
  SELECT c.oid, c.relkind, 1, true FROM tables t JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
  UNION
  SELECT c.oid, c.relkind, f.level + 1, f.is_direct AND f.kind = 'v' FROM found f JOIN pg_depend d ON d.refobjid = f.view AND d.refclassid = 'pg_class'::regclass
    AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> f.view JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm') WHERE f.level < 100),
named (oid) AS (SELECT oid FROM tables UNION SELECT view FROM found),
-- What is bound to a table or a view of these. Views, and functions whose bodies are bound, are made anew; all else would go on with the old table, or forbid that a view is dropped.
bound (classid, objid, objsubid, refobjid, is_carried) AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refobjid,
         coalesce(r.ev_class, k.conrelid, o.polrelid, g.tgrelid) IN (SELECT x.oid FROM named x) OR k.contype = 'f' OR p.prosqlbody IS NOT NULL
           OR d.classid IN ('pg_class'::regclass, 'pg_publication_rel'::regclass)
  FROM named n JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = n.oid AND d.deptype = 'n'
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid LEFT JOIN pg_policy o ON d.classid = 'pg_policy'::regclass AND o.oid = d.objid
  LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid),
-- Names that the indexes of the new tables have, and that those of the old ones get behind the swap.
taken (name) AS (
  SELECT x FROM unnest(ARRAY['analytics_events_pkey', 'analytics_daily_stats_pkey'] || ARRAY(SELECT 'idx_analytics_events_' || y FROM unnest('{name_created,category_created,external,user,session,batch,foreign,internal}'::text[]) y)) x
  UNION SELECT x FROM unnest('{analytics_daily_uniques_pkey,analytics_daily_uniques_negative}'::text[]) x WHERE to_regclass('tallymill_adopt.state') IS NULL -- then they are ours
  UNION SELECT 'before_' || c.relname FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid WHERE octet_length(c.relname) <= 56),
functions (oid, owner, namespace) AS (SELECT DISTINCT p.oid, p.proowner, p.pronamespace FROM bound b JOIN pg_proc p ON b.classid = 'pg_proc'::regclass AND p.oid = b.objid WHERE p.prosqlbody IS NOT NULL)
SELECT stop FROM (
  SELECT 1 AS place, format('column %s is missing: the events need it', k.name) AS stop FROM known k WHERE k.is_needed AND NOT EXISTS (SELECT FROM columns c WHERE c.attname = k.name)
  UNION ALL
  SELECT 2, format('column %s is %s, and %s is needed: ALTER TABLE public.analytics_events ALTER COLUMN %1$s TYPE ..., or rename it and it is kept beside ours', c.attname, c.kind,
                   array_to_string(k.kinds, ' or ')) FROM columns c JOIN known k ON k.name = c.attname WHERE c.kind <> ALL (k.kinds)
  UNION ALL
  SELECT 3, 'ids are numbers and become UUIDs: an application that reads ids as numbers must change; if yours does not, or has, say --ids-become-uuid'
  FROM columns c WHERE c.attname = 'id' AND c.kind IN ('integer', 'bigint', 'smallint') AND NOT $2::boolean
  UNION ALL
  SELECT 4, 'created_at has no time zone: say which its times are in, as --time-zone Europe/Berlin' FROM columns c WHERE c.attname = 'created_at' AND c.kind = 'timestamp without time zone' AND $1 = ''
  UNION ALL
  SELECT 4, format('%s is no time zone that the server knows', $1) -- all files of the zones are read for it: not under the lock
  WHERE CASE WHEN $1 = '' OR to_regclass('tallymill_adopt.state') IS NOT NULL THEN false ELSE NOT EXISTS (SELECT FROM pg_timezone_names z WHERE lower(z.name) = lower($1)) END
  UNION ALL
  SELECT 5, 'column id has no primary key or unique index of its own: ALTER TABLE public.analytics_events ADD PRIMARY KEY (id)'
  FROM t WHERE NOT EXISTS (SELECT FROM pg_index i JOIN columns c ON c.attname = 'id' WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                           AND i.indkey::text = c.attnum::text AND c.attnotnull)
  UNION ALL
  SELECT 6, format('%s keeps %s unique, which no key across months can: drop it first (DROP INDEX, or ALTER TABLE ... DROP CONSTRAINT)', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid))
  FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique WHERE i.indkey::text <> (SELECT c.attnum::text FROM columns c WHERE c.attname = 'id')
  UNION ALL
  SELECT 6, format('%s keeps rows apart (%s), which no constraint across months can: ALTER TABLE public.analytics_events DROP CONSTRAINT %1$s', quote_ident(k.conname), pg_get_constraintdef(k.oid))
  FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'x'
  UNION ALL
  SELECT 7, format('%s of table %s refers to it: ALTER TABLE %2$s DROP CONSTRAINT %1$s (a partitioned table has no key of id alone)', quote_ident(k.conname), k.conrelid::regclass)
  FROM t JOIN pg_constraint k ON k.confrelid = t.oid AND k.contype = 'f'
  UNION ALL
  SELECT 7, format('%s of table %s refers to analytics_daily_stats, whose rows the aggregator deletes and makes anew: ALTER TABLE %2$s DROP CONSTRAINT %1$s', quote_ident(k.conname), k.conrelid::regclass)
  FROM tables s JOIN pg_constraint k ON k.confrelid = s.oid AND k.contype = 'f' WHERE s.name <> 'public.analytics_events'
  UNION ALL
  SELECT 8, CASE WHEN t.name = 'public.analytics_events' THEN 'it' ELSE t.name END
            || format(' has row security: ALTER TABLE %s DISABLE ROW LEVEL SECURITY, and DROP its policies; they would not be taken over', t.name)
  FROM tables t JOIN pg_class c ON c.oid = t.oid WHERE c.relrowsecurity OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid)
  UNION ALL
  SELECT 9, format('trigger %I of %s: DROP it (and make it anew on the new table, if it is still wanted)', g.tgname, t.name) FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid
  WHERE NOT g.tgisinternal AND g.tgname NOT LIKE 'tallymill_adopt_%'
  UNION ALL
  SELECT 10, format('rule %I of %s: DROP it', r.rulename, t.name) FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid
  UNION ALL
  SELECT 11, format('publication %I names %s: ALTER PUBLICATION %1$I DROP TABLE %2$s (afterwards ADD TABLE it again, and SET (publish_via_partition_root = true) for subscribers who have one table)',
                    p.pubname, t.name)
  FROM tables t JOIN pg_publication_rel r ON r.prrelid = t.oid JOIN pg_publication p ON p.oid = r.prpubid
  UNION ALL
  SELECT 11, format('publication %I is of all tables%s: it would publish the copy of every event as it is made, from tables (analytics_events_2026_11) that no subscriber has, who then stands still. '
                    'Make it one of a list of tables; or, if its subscribers have them or take no notice, say --months-are-published', p.pubname, CASE WHEN p.puballtables THEN '' ELSE ' in schema public' END)
  FROM pg_publication p
  WHERE (p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid = 'public'::regnamespace)) AND p.pubinsert AND NOT $3::boolean
  UNION ALL
  SELECT 11, format('subscription %s writes %s, which it knows by number: nothing of it would arrive in the new table. DROP SUBSCRIPTION, and make it anew afterwards (copy_data = false)',
                    coalesce(quote_ident(u.subname), r.srsubid::text), t.name)
  FROM tables t JOIN pg_subscription_rel r ON r.srrelid = t.oid LEFT JOIN pg_subscription u ON u.oid = r.srsubid
  UNION ALL
  SELECT 12, CASE WHEN t.relispartition THEN format('it is a table partition of %s: ALTER TABLE %1$s DETACH PARTITION public.analytics_events', i.inhparent::regclass)
                  ELSE format('table %s inherits from %s, which is not taken over: ALTER TABLE %1$s NO INHERIT %2$s', i.inhrelid::regclass, i.inhparent::regclass) END
  FROM t JOIN pg_inherits i ON t.oid IN (i.inhrelid, i.inhparent) WHERE t.relkind <> 'p'
  UNION ALL
  SELECT 13, format('it is a %s, and only an ordinary table is taken over: rename it, and put its rows into one of its name (CREATE TABLE public.analytics_events (LIKE ...), INSERT INTO ... SELECT)',
                    CASE t.relkind WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE format('relation of kind %s', t.relkind) END)
  FROM t WHERE t.relkind <> 'r'
  UNION ALL
  SELECT 14, format('column %I is generated: that is not taken over; ALTER TABLE ... ALTER COLUMN %1$I DROP EXPRESSION', c.attname) FROM columns c WHERE c.attgenerated <> ''
  UNION ALL
  SELECT 14, format('column %I numbers its rows (GENERATED ... AS IDENTITY), which no partitioned table can before PostgreSQL 17: ALTER TABLE public.analytics_events ALTER COLUMN %1$I DROP IDENTITY, and '
                    'give it DEFAULT nextval(...) of a sequence', c.attname) FROM columns c WHERE c.attidentity <> '' AND c.attname <> 'id'
  UNION ALL
  SELECT 15, 'column batch_id has a name that Tallymill needs: rename it' FROM columns c WHERE c.attname = 'batch_id'
  UNION ALL
  SELECT 16, format('%s %s has a name that Tallymill needs: rename it', CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' ELSE 'table' END, r.oid::regclass)
  FROM pg_class r WHERE r.relnamespace = 'public'::regnamespace AND to_regclass('tallymill_adopt.state') IS NULL
    AND (r.relname ~ '^analytics_events_(\d{4}_\d{2}|before)$' OR r.relname = ANY ($4::text[]) OR r.relname = ANY (ARRAY(SELECT 'analytics_internal_' || substr(x, 11) FROM unnest($4::text[]) x)) OR r.relname IN ('analytics_daily_stats_before', 'analytics_daily_uniques') OR r.relname ~ '^analytics_view_(daily|funnel|conversion|performance)(_key)?$')
  UNION ALL
  SELECT 16, format('%1$s has a name that an index of the new table, or of the old one behind the swap, needs: ALTER %2$s %1$s RENAME TO %3$I', r.oid::regclass, k.kind, left(r.relname, 58) || '_kept')
  FROM pg_class r CROSS JOIN LATERAL (SELECT CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' WHEN 'f' THEN 'FOREIGN TABLE'
                                                         WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind) k
  WHERE r.relnamespace = 'public'::regnamespace AND r.relname IN (SELECT x.name FROM taken x) AND NOT EXISTS (SELECT FROM pg_index i JOIN tables t ON t.oid = i.indrelid WHERE i.indexrelid = r.oid)
  UNION ALL
  SELECT 16, format('%s is a view: rename it, for a table of that name will be kept', r.oid::regclass) FROM pg_class r
  WHERE r.oid = to_regclass('public.analytics_daily_stats') AND r.relkind IN ('v', 'm') AND to_regclass('tallymill_adopt.state') IS NULL
  UNION ALL
  SELECT 17, format('materialized view %s stands on %s: DROP it, and make it anew afterwards', m.oid::regclass,
                    CASE WHEN m.level > 1 AND m.is_direct THEN 'a view of the table' ELSE 'a materialized view of the table' END)
  FROM (SELECT DISTINCT ON (view) view AS oid, level, is_direct FROM found WHERE kind = 'm' AND level > 1) AS m
  UNION ALL
  SELECT DISTINCT 17, format('%s belongs to %I, and login %I may not make it anew or rename it: run tallymill adopt as a superuser, or GRANT %2$I TO %3$I', o.name, pg_get_userbyid(o.owner), current_user)
  FROM (SELECT c.oid::regclass::text AS name, c.relowner AS owner FROM pg_class c WHERE c.oid IN (SELECT f.view FROM found f) OR c.oid = to_regclass('public.analytics_daily_stats')
        UNION ALL SELECT 'function ' || f.oid::regprocedure, f.owner FROM functions f
        UNION ALL SELECT 'statistics object ' || x.stxname, x.stxowner FROM pg_statistic_ext x JOIN tables t ON t.oid = x.stxrelid) AS o
  WHERE NOT pg_has_role(current_user, o.owner, 'USAGE')
  UNION ALL
  SELECT DISTINCT 17, format('%s is in schema %I, where login %I may not make it anew: GRANT CREATE ON SCHEMA %2$I TO %3$I', o.name, s.nspname, current_user)
  FROM (SELECT c.oid::regclass::text AS name, c.relnamespace AS schema FROM pg_class c WHERE c.oid IN (SELECT f.view FROM found f)
        UNION ALL SELECT 'function ' || f.oid::regprocedure, f.namespace FROM functions f) AS o JOIN pg_namespace s ON s.oid = o.schema
  WHERE s.nspname <> 'public' AND NOT has_schema_privilege(o.schema, 'CREATE')
  UNION ALL
  SELECT 18, format('%s uses the row type of %s: DROP it, and make it anew afterwards', pg_describe_object(d.classid, d.objid, d.objsubid), n.oid::regclass)
  FROM named n JOIN pg_class c ON c.oid = n.oid JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass
    AND d.refobjid IN (c.reltype, (SELECT y.typarray FROM pg_type y WHERE y.oid = c.reltype)) AND d.deptype = 'n'
  WHERE NOT (n.oid IN (SELECT f.view FROM found f) AND CASE d.classid WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid)
                                                                                 WHEN 'pg_class'::regclass THEN d.objid ELSE 0 END IN (SELECT f.view FROM found f))
  UNION ALL
  SELECT DISTINCT 19, format('%s names %s, and would go on with the old one: DROP it, and make it anew afterwards', pg_describe_object(b.classid, b.objid, b.objsubid), b.refobjid::regclass)
  FROM bound b WHERE b.is_carried IS NOT TRUE
  UNION ALL
  SELECT DISTINCT 20, format('%s reads column %I of analytics_daily_stats, which the new one has not: DROP it, or point it at a table of your own', pg_describe_object(d.classid, d.objid, 0), a.attname)
  FROM tables s JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid AND d.refobjsubid > 0 AND d.deptype = 'n' AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
  JOIN pg_attribute a ON a.attrelid = s.oid AND a.attnum = d.refobjsubid
  WHERE s.name <> 'public.analytics_events' AND a.attname NOT IN ('date', 'event_name', 'event_count', 'unique_sessions', 'unique_users', 'created_at')
) AS stops ORDER BY place, stop;
