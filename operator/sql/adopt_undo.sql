-- The way back, `tallymill adopt --undo`: what stands against it, and the one step that goes it. Behind adopt_standing.sql, in the same transaction.

-- Under the lock of the way back: whether all that was adopted is to be seen. A month that is archived, or somebody detached, is not: its rows would be taken for deleted, and with our schema would
-- go the books that lead to its archive. A month that was dropped on purpose with nothing kept is named as long as the old table has rows of it.
CREATE FUNCTION tallymill_adopt.check_months() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  away text;
BEGIN
  EXECUTE format($query$
    WITH held AS MATERIALIZED (SELECT DISTINCT date_trunc('month', %s)::date AS month FROM public.analytics_events_before o),
    attached AS MATERIALIZED (SELECT p.month FROM tallymill.table_partitions() p WHERE p.month IS NOT NULL),
    gone AS (SELECT m.month FROM tallymill.months m WHERE m.state NOT IN ('open', 'restored'))
    SELECT string_agg(to_char(a.month::timestamp, 'YYYY-MM'), ', ' ORDER BY a.month) FILTER (WHERE a.place <= 6) || CASE WHEN count(*) > 6 THEN format(' and %%s more', count(*) - 6) ELSE '' END
    FROM (SELECT w.month, row_number() OVER (ORDER BY w.month) AS place FROM (
          SELECT h.month FROM held h WHERE h.month NOT IN (SELECT t.month FROM attached t) OR h.month IN (SELECT g.month FROM gone g)
          UNION SELECT m.month FROM tallymill.months m WHERE m.state IN ('open', 'restored') AND m.month NOT IN (SELECT t.month FROM attached t)
          UNION SELECT g.month FROM gone g
          WHERE NOT EXISTS (SELECT FROM tallymill.archives k WHERE k.month = g.month AND k.state = 'dropped' AND k.target = 'none')) AS w) AS a$query$,
    (SELECT s.created_at FROM tallymill_adopt.state s)) INTO away;
  IF away IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the way back would lose the events of months that are not attached (archived, leaving or detached): %s', away),
      HINT = 'tallymill restore MONTH, or tallymill archive --cancel MONTH for one that is leaving; ATTACH PARTITION for one that somebody detached; of one that is gone for good, DELETE the rows from '
        'public.analytics_events_before (and where somebody dropped its table: SELECT tallymill.make_month of a day of it). Then --undo again.';
  END IF;
  IF EXISTS (SELECT FROM tallymill.erasures e WHERE e.receipt IS NULL) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = 'an erasure has begun and not ended: what it has not come to yet would be in the old table',
      HINT = 'tallymill erase, for the users and sessions that tallymill.erasures names, ends it; then --undo again.';
  END IF;
END
$$;

-- The new tables, and with them the partitions of one.
CREATE FUNCTION tallymill_adopt.new_tables() RETURNS TABLE (relation oid, level integer) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT n.oid, 0 FROM tallymill_adopt.state s CROSS JOIN LATERAL unnest(ARRAY[s.new_table, s.new_stats]) AS n (oid) WHERE n.oid IS NOT NULL
  UNION SELECT t.relid::oid, t.level FROM tallymill_adopt.state s CROSS JOIN LATERAL pg_partition_tree(s.new_table) t
$$;

-- What goes when the adoption is taken back: the relations of our two schemas, the new tables with their partitions, and what the books name in public.
CREATE FUNCTION tallymill_adopt.doomed() RETURNS TABLE (relation oid) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('tallymill', 'tallymill_adopt')
    UNION SELECT t.relation FROM tallymill_adopt.new_tables() t
    UNION SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
      AND (c.relname = 'analytics_daily_uniques' OR c.relname ~ '^analytics_view_(daily|funnel|conversion|performance)$') AND pg_get_userbyid(c.relowner) = 'tallymill_admin';
  IF to_regclass('tallymill.rollups') IS NOT NULL THEN
    RETURN QUERY SELECT c.oid FROM tallymill.rollups r JOIN pg_class c ON c.relname IN (r.target, (tallymill.internal_twin(r)).target)
      WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) = 'tallymill_admin';
  END IF;
END
$$;

-- What stands on that and is not part of it, described. p_remade: views and functions that are made anew over the old tables, as far as they stand on the new tables alone, or on each other.
CREATE FUNCTION tallymill_adopt.dependents(p_remade oid[]) RETURNS TABLE (what text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  WITH doomed AS MATERIALIZED (SELECT d.relation AS oid FROM tallymill_adopt.doomed() d),
  places AS (SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ('tallymill', 'tallymill_adopt')),
  sources AS MATERIALIZED ( -- relations, their row types, functions, other types
    SELECT 'pg_class'::regclass::oid AS class, d.oid, d.oid AS relation FROM doomed d
    UNION ALL SELECT 'pg_type'::regclass, y.oid, c.oid FROM doomed d JOIN pg_class c ON c.oid = d.oid JOIN pg_type t ON t.oid = c.reltype JOIN pg_type y ON y.oid IN (t.oid, t.typarray)
    UNION ALL SELECT 'pg_proc'::regclass, p.oid, NULL FROM pg_proc p WHERE p.pronamespace IN (SELECT x.oid FROM places x)
    UNION ALL SELECT 'pg_type'::regclass, y.oid, NULL FROM pg_type y WHERE y.typrelid = 0 AND y.typnamespace IN (SELECT x.oid FROM places x)),
  found AS (
    SELECT d.classid, d.objid, d.objsubid, s.relation, coalesce(r.ev_class, k.conrelid, o.polrelid, g.tgrelid, f.adrelid, i.indrelid, CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END) AS of_relation,
           coalesce(p.pronamespace, y.typnamespace) AS place
    FROM sources s JOIN pg_depend d ON d.refclassid = s.class AND d.refobjid = s.oid AND d.deptype = 'n'
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_policy o ON d.classid = 'pg_policy'::regclass AND o.oid = d.objid LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
    LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid LEFT JOIN pg_type y ON d.classid = 'pg_type'::regclass AND y.oid = d.objid
    WHERE coalesce(k.conparentid, 0) = 0)
  SELECT DISTINCT CASE WHEN f.classid = 'pg_rewrite'::regclass AND c.relkind IN ('v', 'm') THEN pg_describe_object('pg_class'::regclass, f.of_relation, 0) ELSE pg_describe_object(f.classid, f.objid, f.objsubid) END
  FROM found f LEFT JOIN pg_class c ON c.oid = f.of_relation CROSS JOIN tallymill_adopt.state s
  WHERE coalesce(f.of_relation NOT IN (SELECT d.oid FROM doomed d), true) AND coalesce(f.place NOT IN (SELECT x.oid FROM places x), true)
    AND NOT (coalesce(f.relation IN (s.new_table, s.new_stats), false) AND coalesce(f.of_relation, f.objid) = ANY (p_remade)) ORDER BY 1
$$;

-- Under the lock of the way back: what came to the new tables since the swap and the old ones have not, and what stands on what goes. Named, for all of it would go in silence (TM006).
CREATE FUNCTION tallymill_adopt.check_since(p_remade oid[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names text;
BEGIN
  WITH tables AS MATERIALIZED (SELECT t.relation AS oid, t.level FROM tallymill_adopt.new_tables() t),
  came AS (
    SELECT format('column %I of %s', a.attname, a.attrelid::regclass) AS what
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped CROSS JOIN tallymill_adopt.state s
    WHERE t.level = 0 AND NOT coalesce(s.kept -> 'columns' -> t.oid::text ? a.attname, false)
    UNION ALL SELECT pg_describe_object('pg_publication_rel'::regclass, r.oid, 0) FROM tables t JOIN pg_publication_rel r ON r.prrelid = t.oid
    UNION ALL SELECT pg_describe_object('pg_trigger'::regclass, g.oid, 0) FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL SELECT pg_describe_object('pg_policy'::regclass, o.oid, 0) FROM tables t JOIN pg_policy o ON o.polrelid = t.oid
    UNION ALL SELECT pg_describe_object('pg_rewrite'::regclass, r.oid, 0) FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid
    UNION ALL SELECT pg_describe_object('pg_constraint'::regclass, k.oid, 0) FROM tables t JOIN pg_constraint k ON k.contype = 'f' AND k.conparentid = 0 AND t.oid IN (k.conrelid, k.confrelid)
    UNION ALL SELECT d.what FROM tallymill_adopt.dependents(p_remade) d)
  SELECT string_agg(x.what, ', ' ORDER BY x.what) INTO names FROM (SELECT DISTINCT c.what FROM came c) AS x;
  IF names IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('this came since the swap, and would be lost on the way back: %s', names),
      HINT = 'ALTER TABLE ... DROP COLUMN, ALTER PUBLICATION ... DROP TABLE, or DROP it (a column that is to be kept: ADD it to the old table by another name, and UPDATE that); then --undo again.';
  END IF;
END
$$;

-- How a row of the new table (n) becomes one of the old table: name, value and type of each column there.
CREATE FUNCTION tallymill_adopt.way_back() RETURNS TABLE (attnum smallint, name text, value text, kind text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT a.attnum, quote_ident(a.attname),
         CASE WHEN a.attname = 'id' AND s.has_numbers THEN 'NULL'
              WHEN a.attname = 'created_at' AND a.atttypid = 'timestamp'::regtype THEN format('n.created_at AT TIME ZONE %L', s.time_zone)
              WHEN a.attname = 'event_data' AND a.atttypid = 'json'::regtype THEN 'n.event_data::json'
              WHEN a.attname = 'session_id' AND a.atttypid = 'uuid'::regtype THEN 'n.session_id::uuid' ELSE format('n.%I', a.attname) END, format_type(a.atttypid, a.atttypmod)
  FROM tallymill_adopt.state s JOIN pg_attribute a ON a.attrelid = s.old_table WHERE a.attnum > 0 AND NOT a.attisdropped
$$;

-- What the old table's columns do not take, as conditions over n, a row of the new one.
CREATE FUNCTION tallymill_adopt.too_wide() RETURNS TABLE (is_odd text, why text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.is_odd, format('%I %s', a.attname, c.why)
  FROM tallymill_adopt.state s JOIN pg_attribute a ON a.attrelid = s.old_table CROSS JOIN LATERAL (VALUES
    (a.attnotnull, format('n.%I IS NULL', a.attname), 'is NULL'),
    (a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4, format('length(rtrim(n.%I::text, '' '')) > %s', a.attname, a.atttypmod - 4),
     format('has more than %s characters', a.atttypmod - 4)),
    (a.atttypid = 'integer'::regtype, format('n.%I NOT BETWEEN -2147483648 AND 2147483647', a.attname), 'is too large for integer'),
    (a.atttypid = 'smallint'::regtype, format('n.%I NOT BETWEEN -32768 AND 32767', a.attname), 'is too large for smallint'),
    (a.attname = 'session_id' AND a.atttypid = 'uuid'::regtype, 'n.session_id !~* ''^\{?([0-9a-f]{4}-?){8}\}?$''', 'is no UUID')) AS c (applies, is_odd, why)
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.applies AND NOT (a.attname = 'id' AND s.has_numbers) ORDER BY a.attnum
$$;

-- Names what came or changed since the swap and the old table would refuse (TM006), before anything is changed: ids that came twice (the key is (id, created_at) since), then by the
-- width of its columns, then, when all can be cast, by its CHECKs.
CREATE FUNCTION tallymill_adopt.check_fit(p_id_of text, p_new_row text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  wide constant text := (SELECT string_agg(format('CASE WHEN %s THEN %L END', w.is_odd, w.why), ', ') FROM tallymill_adopt.too_wide() w);
  checks constant text := (SELECT string_agg(format('CASE WHEN NOT (%s) THEN %L END', pg_get_expr(k.conbin, k.conrelid), 'breaks CHECK ' || quote_ident(k.conname)), ', ' ORDER BY k.conname)
                           FROM tallymill_adopt.state x JOIN pg_constraint k ON k.conrelid = x.old_table AND k.contype = 'c');
  cast_row constant text := (SELECT string_agg(format('(%s)::%s AS %s', b.value, b.kind, b.name), ', ' ORDER BY b.attnum) FROM tallymill_adopt.way_back() b);
  tests text[] := '{}';
  test text;
  odd record;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state;
  SELECT count(*) AS rows, string_agg(t.id::text, ', ' ORDER BY t.id) FILTER (WHERE t.place <= 3) AS names INTO odd
  FROM (SELECT n.id, row_number() OVER (ORDER BY n.id) AS place FROM public.analytics_events n GROUP BY n.id HAVING count(*) > 1) AS t;
  IF odd.rows > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('%s ids are in analytics_events more than once, and the old table takes an id once: %s', odd.rows, odd.names),
      HINT = 'DELETE all but one row of each, by id and created_at; then --undo again.';
  END IF;
  IF wide IS NOT NULL THEN
    tests := ARRAY[format('SELECT n.id AS new_id, ROW(%s)::text AS new_row, concat_ws('', '', %s) AS why FROM public.analytics_events n', p_new_row, wide)];
  END IF;
  IF checks IS NOT NULL THEN -- which know the columns by their names alone, or by the table's
    tests := tests || format('SELECT new_id, new_row, concat_ws('', '', %s) AS why FROM (SELECT n.id AS new_id, ROW(%s)::text AS new_row, %s FROM public.analytics_events n) AS analytics_events_before',
                             checks, p_new_row, cast_row);
  END IF;
  FOREACH test IN ARRAY tests LOOP
    EXECUTE format($query$
      WITH odd AS MATERIALIZED (SELECT * FROM (%s) AS t WHERE t.why <> ''),
      fresh AS (SELECT d.*, row_number() OVER (ORDER BY d.new_id) AS place FROM odd d
                WHERE NOT EXISTS (SELECT FROM public.analytics_events_before o WHERE %s = d.new_id AND ROW(%s)::text = d.new_row))
      SELECT count(*) AS rows, string_agg(format('%%s: %%s', f.new_id, f.why), '; ' ORDER BY f.place) FILTER (WHERE f.place <= 2) AS names FROM fresh f$query$, test, p_id_of, s.expressions) INTO odd;
    IF odd.rows > 0 THEN
      RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the old table does not take %s events that are new or other since the swap: %s', odd.rows, odd.names),
        HINT = 'UPDATE or DELETE them, or ALTER TABLE public.analytics_events_before so that it takes them; then --undo again.';
    END IF;
  END LOOP;
END
$$;

-- The way back behind the swap: what is new, changed or gone in the new table since then becomes so in the old one, under a lock that lets readers go on; then the names go back.
-- TM006: workers have stored rows, and it was not said that they are to be taken along.
CREATE FUNCTION tallymill_adopt.undo(p_with_stored boolean) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  id_of constant text := CASE WHEN (SELECT x.has_numbers FROM tallymill_adopt.state x) THEN 'tallymill.adopted_id(o.id)' ELSE 'o.id' END;
  new_row text;
  changed bigint;
  total bigint := 0;
  views text[] := '{}';
  functions text[] := '{}';
  fills text[] := '{}';
  refused text;
  one record;
  statement text;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state WHERE step = 'swapped' FOR UPDATE;
  LOCK TABLE public.analytics_events IN SHARE ROW EXCLUSIVE MODE;
  PERFORM set_config('lock_timeout', '10s', true); -- for the names, later: not to have done all this in vain
  IF NOT p_with_stored AND EXISTS (SELECT FROM public.analytics_events WHERE batch_id IS NOT NULL) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = 'workers have stored events in the new table: they would be rows of the old one',
      HINT = 'With --with-stored they are; their messages stay in Kafka.';
  END IF;
  new_row := (SELECT string_agg('n.' || c, ', ' ORDER BY place) FROM unnest(s.columns) WITH ORDINALITY AS t (c, place));
  PERFORM tallymill_adopt.check_months();
  PERFORM tallymill_adopt.check_since(ARRAY(SELECT v.view FROM tallymill_adopt.all_views_on(s.new_table, s.new_stats) v)
    || ARRAY(SELECT f.function FROM tallymill_adopt.functions_on(VARIADIC ARRAY[s.new_table, s.new_stats] || ARRAY(SELECT v.view FROM tallymill_adopt.all_views_on(s.new_table, s.new_stats) v)) f));
  PERFORM tallymill_adopt.check_fit(id_of, new_row);
  EXECUTE format('DELETE FROM public.analytics_events_before o WHERE NOT EXISTS (SELECT FROM public.analytics_events n WHERE n.id = %s)', id_of);
  GET DIAGNOSTICS changed = ROW_COUNT;
  total := total + changed;
  FOR one IN
    SELECT string_agg(format('%s = %s', m.name, m.value), ', ') FILTER (WHERE m.name <> 'id') AS assignments, string_agg(m.name, ', ') FILTER (WHERE m.name <> 'id' OR NOT s.has_numbers) AS names,
           string_agg(m.value, ', ') FILTER (WHERE m.name <> 'id' OR NOT s.has_numbers) AS sources FROM tallymill_adopt.way_back() m LOOP
    EXECUTE format('UPDATE public.analytics_events_before o SET %s FROM public.analytics_events n WHERE n.id = %s AND ROW(%s)::text IS DISTINCT FROM ROW(%s)::text', one.assignments, id_of,
                   s.expressions, new_row);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    EXECUTE format('INSERT INTO public.analytics_events_before (%s) SELECT %s FROM public.analytics_events n WHERE NOT EXISTS (SELECT FROM public.analytics_events_before o WHERE %s = n.id)',
                   one.names, one.sources, id_of);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
  END LOOP;
  -- What the foreign keys would have done meanwhile, then they themselves. One that is NOT VALID may have had rows from the beginning that refer to nothing: they are let be.
  FOR one IN SELECT f ->> 'name' AS name, f ->> 'definition' AS definition, f ->> 'on_delete' AS on_delete, (f ->> 'is_valid')::boolean AS is_valid, (f ->> 'keys')::integer AS keys, f ->> 'column' AS key_column, f ->> 'other' AS other,
                    f ->> 'other_column' AS other_column FROM jsonb_array_elements(s.kept -> 'foreign_keys') f LOOP
    IF one.keys = 1 AND one.on_delete IN ('n', 'c') AND one.is_valid THEN
      EXECUTE format(CASE one.on_delete WHEN 'n' THEN 'UPDATE public.analytics_events_before o SET %1$s = NULL' ELSE 'DELETE FROM public.analytics_events_before o' END
                     || ' WHERE o.%1$s IS NOT NULL AND NOT EXISTS (SELECT FROM %2$s r WHERE r.%3$s = o.%1$s)', one.key_column, one.other, one.other_column);
    END IF;
    BEGIN
      EXECUTE format('ALTER TABLE public.analytics_events_before ADD CONSTRAINT %I %s', one.name, one.definition);
    EXCEPTION WHEN foreign_key_violation THEN
      GET STACKED DIAGNOSTICS refused = PG_EXCEPTION_DETAIL;
      RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('foreign key %I of the old table does not take what came or went since the swap: %s', one.name, refused),
        HINT = 'UPDATE or DELETE these events in public.analytics_events, or make the row anew that they refer to; then --undo again.';
    END;
  END LOOP;
  FOR one IN SELECT v.* FROM tallymill_adopt.all_views_on(s.new_table, s.new_stats) v LOOP
    views := views || tallymill_adopt.view_statements(one.view, one.name, false);
    IF one.kind = 'm' THEN -- filled last, when the functions that it may call have their bodies again
      fills := fills || format('REFRESH MATERIALIZED VIEW %s', one.name);
    END IF;
  END LOOP;
  PERFORM set_config('check_function_bodies', 'off', true);
  FOR one IN SELECT f.* FROM tallymill_adopt.functions_on(VARIADIC ARRAY[s.new_table, s.new_stats]
                                                          || ARRAY(SELECT v.view FROM tallymill_adopt.all_views_on(s.new_table, s.new_stats) v)) f LOOP
    functions := functions || one.definition;
    EXECUTE one.emptied;
  END LOOP;
  FOR one IN SELECT v.* FROM tallymill_adopt.all_views_on(s.new_table, s.new_stats) v ORDER BY v.level DESC LOOP
    EXECUTE format('DROP %s %s', CASE one.kind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, one.name);
  END LOOP;
  FOR statement IN SELECT r #>> '{}' FROM jsonb_array_elements(s.kept -> 'rights') r LOOP
    EXECUTE format('REVOKE %s FROM tallymill_ingest', statement);
  END LOOP;
  ALTER TABLE public.analytics_events SET SCHEMA tallymill_adopt;
  ALTER TABLE public.analytics_daily_stats SET SCHEMA tallymill_adopt;
  ALTER TABLE public.analytics_events_before RENAME TO analytics_events;
  IF s.old_stats IS NOT NULL THEN
    ALTER TABLE public.analytics_daily_stats_before RENAME TO analytics_daily_stats;
  END IF;
  FOR one IN SELECT i ->> 'name' AS name, i ->> 'before' AS before FROM jsonb_array_elements(s.kept -> 'indexes') i LOOP
    EXECUTE format('ALTER INDEX public.%I RENAME TO %I', one.before, one.name);
  END LOOP;
  FOR one IN SELECT x ->> 'schema' AS schema, x ->> 'name' AS name, x ->> 'before' AS before FROM jsonb_array_elements(s.kept -> 'statistics') x LOOP
    EXECUTE format('DROP STATISTICS IF EXISTS %I.%I', one.schema, one.name);
    EXECUTE format('ALTER STATISTICS %I.%I RENAME TO %I', one.schema, one.before, one.name);
  END LOOP;
  FOR one IN SELECT q ->> 'name' AS name, q ->> 'column' AS of_column FROM jsonb_array_elements(s.kept -> 'sequences') q LOOP
    EXECUTE format('ALTER SEQUENCE %s OWNED BY public.analytics_events.%I', one.name, one.of_column);
  END LOOP;
  FOREACH statement IN ARRAY views || functions || fills LOOP
    EXECUTE statement;
  END LOOP;
  PERFORM tallymill_adopt.restore_options();
  DELETE FROM tallymill.schema_version;
  DELETE FROM tallymill.schema_objects;
  UPDATE tallymill_adopt.state SET step = 'abandoning';
  RETURN total;
END
$$;
