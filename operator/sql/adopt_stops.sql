-- What stops an adoption, each with what to do. $1: the time zone that was given ('' none); $2: whether ids may become UUIDs.
WITH RECURSIVE t AS (SELECT c.* FROM pg_class c WHERE c.oid = 'public.analytics_events'::regclass),
columns AS (SELECT a.*, format_type(a.atttypid, NULL) AS kind FROM pg_attribute a JOIN t ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped),
known (name, kinds, is_needed) AS (VALUES
  ('id', ARRAY['uuid', 'integer', 'bigint', 'smallint'], true), ('event_name', ARRAY['character varying', 'text', 'character'], true),
  ('event_category', ARRAY['character varying', 'text', 'character'], false), ('session_id', ARRAY['character varying', 'text', 'character', 'uuid'], false),
  ('user_id', ARRAY['integer', 'bigint', 'smallint'], false), ('event_data', ARRAY['jsonb', 'json'], false), ('is_internal', ARRAY['boolean'], false),
  ('created_at', ARRAY['timestamp with time zone', 'timestamp without time zone'], true)),
found (view, kind, level, is_direct) AS ( -- the views on it, and those on them
  SELECT c.oid, c.relkind, 1, true FROM t JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
  UNION
  SELECT c.oid, c.relkind, f.level + 1, f.is_direct AND f.kind = 'v' FROM found f JOIN pg_depend d ON d.refobjid = f.view AND d.refclassid = 'pg_class'::regclass
    AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> f.view JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm') WHERE f.level < 100)
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
  SELECT 4, format('%s is no time zone that the server knows', $1) WHERE $1 <> '' AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE lower(z.name) = lower($1))
  UNION ALL
  SELECT 5, 'column id has no primary key or unique index of its own: ALTER TABLE public.analytics_events ADD PRIMARY KEY (id)'
  FROM t WHERE NOT EXISTS (SELECT FROM pg_index i JOIN columns c ON c.attname = 'id' WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                           AND i.indkey::text = c.attnum::text AND c.attnotnull)
  UNION ALL
  SELECT 6, format('%s keeps %s unique, which no key across months can: drop it first (DROP INDEX, or ALTER TABLE ... DROP CONSTRAINT)', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid))
  FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique WHERE i.indkey::text <> (SELECT c.attnum::text FROM columns c WHERE c.attname = 'id')
  UNION ALL
  SELECT 7, format('%s of table %s refers to it: ALTER TABLE %2$s DROP CONSTRAINT %1$s (a partitioned table has no key of id alone)', quote_ident(k.conname), k.conrelid::regclass)
  FROM t JOIN pg_constraint k ON k.confrelid = t.oid AND k.contype = 'f'
  UNION ALL
  SELECT 8, 'it has row security: ALTER TABLE public.analytics_events DISABLE ROW LEVEL SECURITY, and DROP its policies; they would not be taken over'
  FROM t WHERE t.relrowsecurity OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid)
  UNION ALL
  SELECT 9, format('trigger %I: DROP it (and make it anew on the new table, if it is still wanted)', g.tgname) FROM t JOIN pg_trigger g ON g.tgrelid = t.oid
  WHERE NOT g.tgisinternal AND g.tgname NOT LIKE 'tallymill_adopt_%'
  UNION ALL
  SELECT 10, format('rule %I: DROP it', r.rulename) FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
  UNION ALL
  SELECT 11, format('publication %I names it: ALTER PUBLICATION %1$I DROP TABLE public.analytics_events', p.pubname) FROM t JOIN pg_publication_rel r ON r.prrelid = t.oid JOIN pg_publication p ON p.oid = r.prpubid
  UNION ALL
  SELECT 12, 'it inherits from another table, or another from it: that is not taken over' FROM t WHERE t.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE t.oid IN (i.inhrelid, i.inhparent))
  UNION ALL
  SELECT 13, format('it is of kind %s, not an ordinary table', t.relkind) FROM t WHERE t.relkind <> 'r'
  UNION ALL
  SELECT 14, format('column %I is generated: that is not taken over; ALTER TABLE ... ALTER COLUMN %1$I DROP EXPRESSION', c.attname) FROM columns c WHERE c.attgenerated <> ''
  UNION ALL
  SELECT 15, 'column batch_id has a name that Tallymill needs: rename it' FROM columns c WHERE c.attname = 'batch_id'
  UNION ALL
  SELECT 16, format('%s %s has a name that Tallymill needs: rename it', CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' ELSE 'table' END, r.oid::regclass)
  FROM pg_class r WHERE r.relnamespace = 'public'::regnamespace AND to_regclass('tallymill_adopt.state') IS NULL
    AND (r.relname ~ '^analytics_events_(\d{4}_\d{2}|before)$' OR r.relname IN ('analytics_daily_stats_before', 'analytics_daily_uniques') OR r.relname ~ '^analytics_view_(daily|funnel|conversion|performance)(_key)?$')
  UNION ALL
  SELECT 16, format('%s is a view: rename it, for a table of that name will be kept', r.oid::regclass) FROM pg_class r
  WHERE r.oid = to_regclass('public.analytics_daily_stats') AND r.relkind IN ('v', 'm') AND to_regclass('tallymill_adopt.state') IS NULL
  UNION ALL
  SELECT 17, format('materialized view %s stands on %s: DROP it, and make it anew afterwards', m.oid::regclass,
                    CASE WHEN m.level > 1 AND m.is_direct THEN 'a view of the table' ELSE 'a materialized view of the table' END)
  FROM (SELECT DISTINCT ON (view) view AS oid, level, is_direct FROM found WHERE kind = 'm' AND level > 1) AS m
  UNION ALL
  SELECT DISTINCT 17, format('%s belongs to %I, and login %I may not make it anew or rename it: run tallymill adopt as a superuser, or GRANT %2$I TO %3$I', c.oid::regclass, pg_get_userbyid(c.relowner), current_user)
  FROM pg_class c WHERE (c.oid IN (SELECT f.view FROM found f) OR c.oid = to_regclass('public.analytics_daily_stats')) AND to_regclass('tallymill_adopt.state') IS NULL
    AND NOT pg_has_role(current_user, c.relowner, 'USAGE')
  UNION ALL
  SELECT 18, format('%s uses the row type of the table: DROP it, and make it anew afterwards', pg_describe_object(d.classid, d.objid, d.objsubid))
  FROM t JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.reltype, (SELECT y.typarray FROM pg_type y WHERE y.oid = t.reltype)) AND d.deptype = 'n'
) AS stops ORDER BY place, stop;
