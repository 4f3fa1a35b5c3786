-- What stands on the tables that change names, as statements that make it anew: rights, comments, views, functions whose bodies are bound to what they name (BEGIN ATOMIC), statistics
-- objects. Behind adopt_schema.sql and our own schema, in the same transaction.
--
-- Whatever is bound by number follows the old table when it is renamed, and would go on reading and writing there. So it is read as text while the old names stand, and executed when the
-- new table has them. A view cannot be dropped below a function that is bound to it: such a function has an empty body until the end of the transaction, and keeps its number, owner and
-- rights. (Dropping it too would take away what stands on the function.)

-- The statements that give a relation what another has of rights: for each grantee, and for each column of its own that p_new has too.
CREATE FUNCTION tallymill_adopt.grants(p_relation oid, p_name text, p_new oid) RETURNS TABLE (statement text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, p_name, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE c.oid = p_relation AND a.grantee <> c.relowner
  UNION ALL
  SELECT format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, t.attname, p_name, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a WHERE t.attrelid = p_relation AND NOT t.attisdropped
    AND EXISTS (SELECT FROM pg_attribute n WHERE n.attrelid = p_new AND n.attname = t.attname AND NOT n.attisdropped)
$$;

CREATE FUNCTION tallymill_adopt.comments(p_relation oid, p_name text, p_kind text, p_new oid) RETURNS TABLE (statement text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN d.objsubid = 0 THEN format('COMMENT ON %s %s IS %L', p_kind, p_name, d.description)
              ELSE format('COMMENT ON COLUMN %s.%I IS %L', p_name, a.attname, d.description) END
  FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
  WHERE d.classoid = 'pg_class'::regclass AND d.objoid = p_relation
    AND (d.objsubid = 0 OR EXISTS (SELECT FROM pg_attribute n WHERE n.attrelid = p_new AND n.attname = a.attname AND NOT n.attisdropped))
$$;

-- Comments of the indexes that the new table has too.
CREATE FUNCTION tallymill_adopt.index_comments(p_old oid, p_new oid) RETURNS TABLE (statement text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT m.statement FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN tallymill_adopt.indexes x ON x.old_index = c.oid CROSS JOIN LATERAL (SELECT coalesce(x.name, c.relname) AS name) k
  CROSS JOIN LATERAL tallymill_adopt.comments(c.oid, format('public.%I', k.name), 'INDEX', NULL) m
  WHERE i.indrelid = p_old AND EXISTS (SELECT FROM pg_index n JOIN pg_class d ON d.oid = n.indexrelid WHERE n.indrelid = p_new AND d.relname = k.name)
$$;

-- The views on tables, and the views on these: each behind those that it stands on.
CREATE FUNCTION tallymill_adopt.walk(p_tables oid[], p_is_through boolean) RETURNS TABLE (view oid, kind "char", name text, level integer) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  WITH RECURSIVE found (view, kind, level) AS (
    SELECT c.oid, c.relkind, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (p_tables) AND c.oid <> ALL (array_remove(p_tables, NULL))
    UNION
    SELECT c.oid, c.relkind, f.level + 1 FROM found f JOIN pg_depend d ON d.refobjid = f.view AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> f.view JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm') WHERE (f.kind = 'v' OR p_is_through) AND f.level < 100
  )
  SELECT f.view, f.kind, format('%I.%I', n.nspname, c.relname), max(f.level) FROM found f JOIN pg_class c ON c.oid = f.view JOIN pg_namespace n ON n.oid = c.relnamespace
  GROUP BY 1, 2, 3 ORDER BY 4, 3
$$;

-- A materialized view ends the walk: what stands on it does not see the table.
CREATE FUNCTION tallymill_adopt.views_on(VARIADIC p_tables oid[]) RETURNS TABLE (view oid, kind "char", name text, level integer) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT * FROM tallymill_adopt.walk(p_tables, false) ORDER BY level, name $$;

-- The same, and what stands on the materialized ones, for the way back: without what is ours.
CREATE FUNCTION tallymill_adopt.all_views_on(VARIADIC p_tables oid[]) RETURNS TABLE (view oid, kind "char", name text, level integer) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT v.* FROM tallymill_adopt.walk(p_tables, true) v JOIN pg_class c ON c.oid = v.view
  WHERE c.relnamespace <> 'tallymill'::regnamespace
    AND v.name <> ALL (ARRAY['public.analytics_view_daily', 'public.analytics_view_funnel', 'public.analytics_view_conversion', 'public.analytics_view_performance'])
  ORDER BY v.level, v.name
$$;

-- Under which name a materialized view is made anew, and its indexes, before they have their own.
CREATE FUNCTION tallymill_adopt.adopting_name(p_relation oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('%I.%I', n.nspname, 'tallymill_adopting_' || c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = p_relation $$;

-- Takes from what this login has just made in a schema the rights that ALTER DEFAULT PRIVILEGES gave others: those that it had are given one by one.
CREATE FUNCTION tallymill_adopt.made_without(p_name text, p_schema oid) RETURNS TABLE (statement text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', p_name, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
  FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a
  WHERE d.defaclrole = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) AND d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, p_schema) AND a.grantee <> d.defaclrole
$$;

-- All that makes a view what it is, as statements, under the name p_as. (Defaults, rules and triggers are plain views' alone, which keep their names.)
CREATE FUNCTION tallymill_adopt.view_statements(p_view oid, p_as text, p_is_filled boolean) RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT ARRAY[format('CREATE %s %s%s AS %s%s', k.kind, p_as, CASE WHEN c.reloptions IS NULL THEN '' ELSE format(' WITH (%s)', array_to_string(c.reloptions, ', ')) END,
                      rtrim(pg_get_viewdef(c.oid), ';'), CASE WHEN c.relkind = 'm' AND NOT p_is_filled THEN ' WITH NO DATA' ELSE '' END)]
         || ARRAY(SELECT CASE WHEN p_as <> tallymill_adopt.adopting_name(p_view) THEN pg_get_indexdef(i.indexrelid)
                              ELSE regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX .* ON .* USING ', format(' INDEX tallymill_adopting_%s ON %s USING ', i.indexrelid, p_as)) END
                  FROM pg_index i WHERE i.indrelid = p_view)
         || ARRAY(SELECT m.statement FROM tallymill_adopt.made_without(p_as, c.relnamespace) m)
         || ARRAY(SELECT format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', p_as, a.attname, pg_get_expr(d.adbin, d.adrelid))
                  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = p_view)
         || ARRAY(SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class = p_view AND r.rulename <> '_RETURN' ORDER BY r.rulename)
         || ARRAY(SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g WHERE g.tgrelid = p_view AND NOT g.tgisinternal ORDER BY g.tgname)
         || ARRAY(SELECT g.statement FROM tallymill_adopt.grants(p_view, p_as, p_view) g) || ARRAY(SELECT m.statement FROM tallymill_adopt.comments(p_view, p_as, k.kind, p_view) m)
         || format('ALTER %s %s OWNER TO %I', k.kind, p_as, pg_get_userbyid(c.relowner))
  FROM pg_class c CROSS JOIN LATERAL (SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS kind) k WHERE c.oid = p_view
$$;

-- Functions and procedures of others whose bodies are bound to one of these: as they are, and with an empty body, which is bound to nothing.
CREATE FUNCTION tallymill_adopt.functions_on(VARIADIC p_relations oid[]) RETURNS TABLE (function oid, definition text, emptied text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p.oid, d.text, left(d.text, length(d.text) - length(b.text) - 1) || 'AS ''SELECT NULL''' -- the body and a line's end are what a definition ends with
  FROM pg_proc p CROSS JOIN LATERAL (SELECT pg_get_functiondef(p.oid) AS text) d CROSS JOIN LATERAL (SELECT pg_get_function_sqlbody(p.oid) AS text) b
  WHERE p.prosqlbody IS NOT NULL AND p.pronamespace <> 'tallymill'::regnamespace
    AND p.oid IN (SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (p_relations))
  ORDER BY p.oid
$$;

-- A name as text to be looked for, and as one to be put in its place.
CREATE FUNCTION tallymill_adopt.renamed(p_text text, p_name text, p_as text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT regexp_replace(p_text, '(?<![\w."$])' || regexp_replace(p_name, '(\W)', '\\\1', 'g') || '(?![\w"$])', replace(p_as, '\', '\\'), 'g') $$;

-- What the swap will make anew over the new table, made once while that is empty, and dropped again: a view or a function that does not go with the new types (bigint, text, timestamptz) is named before
-- anything is copied. In schemas of the trial's own, where everything keeps its name: the text of a view takes it for an alias.
CREATE FUNCTION tallymill_adopt.try_standing() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s tallymill_adopt.state;
  views oid[];
  functions oid[];
  schemas oid[];
  names text[];
  others text[];
  one record;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state;
  views := ARRAY(SELECT v.view FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v);
  functions := ARRAY(SELECT f.function FROM tallymill_adopt.functions_on(VARIADIC ARRAY[s.old_table, s.old_stats] || views) f);
  schemas := ARRAY(SELECT c.relnamespace FROM pg_class c WHERE c.oid = ANY (views) UNION SELECT p.pronamespace FROM pg_proc p WHERE p.oid = ANY (functions));
  SELECT array_agg(format('%I.%I', n.nspname, c.relname)),
         array_agg(CASE WHEN c.oid = ANY (views) THEN format('tallymill_trial_%s.%I', n.oid, c.relname) ELSE format('tallymill_adopt.%I', c.relname) END)
    INTO names, others FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (s.old_table, s.old_stats) OR c.oid = ANY (views);
  FOR i IN 1 .. cardinality(schemas) LOOP
    EXECUTE format('CREATE SCHEMA tallymill_trial_%s', schemas[i]);
  END LOOP;
  FOR one IN
    SELECT * FROM (
      SELECT 1 AS kind, v.level::bigint AS level, format('%s %s', CASE v.kind WHEN 'm' THEN 'materialized view' ELSE 'view' END, v.name) AS what, t.place, t.statement
      FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v CROSS JOIN LATERAL unnest(tallymill_adopt.view_statements(v.view, v.name, false)) WITH ORDINALITY AS t (statement, place)
      WHERE t.statement ~ '^CREATE (VIEW|MATERIALIZED VIEW|RULE) '
      UNION ALL
      SELECT 2, f.function::bigint, format('function %s', f.function::regprocedure), 1,
             replace(f.definition, format('%I.%I(', n.nspname, p.proname), format('tallymill_trial_%s.%I(', n.oid, p.proname))
      FROM tallymill_adopt.functions_on(VARIADIC ARRAY[s.old_table, s.old_stats] || views) f JOIN pg_proc p ON p.oid = f.function JOIN pg_namespace n ON n.oid = p.pronamespace
    ) AS made ORDER BY kind, level, what, place LOOP
    FOR i IN 1 .. cardinality(names) LOOP
      one.statement := tallymill_adopt.renamed(one.statement, names[i], others[i]);
    END LOOP;
    BEGIN
      EXECUTE one.statement;
    EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported OR data_exception THEN
      RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('%s cannot be made over the new table, whose columns have other types (tallymill adopt --plan): %s', one.what, SQLERRM),
        HINT = 'DROP it, or make it anew so that it goes with both; then tallymill adopt again.';
    END;
  END LOOP;
  FOR i IN 1 .. cardinality(schemas) LOOP
    EXECUTE format('DROP SCHEMA tallymill_trial_%s CASCADE', schemas[i]);
  END LOOP;
END
$$;

-- What an index or a statistics object of the old table is called behind the swap: its name is the new one's.
CREATE FUNCTION tallymill_adopt.before_name(p_name text, p_object oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN octet_length(p_name) <= 56 THEN 'before_' || p_name ELSE format('before_%s_%s', left(p_name, 10), p_object) END $$;

-- Statistics objects (CREATE STATISTICS) of the old table whose columns the new one has, and what makes them anew there.
CREATE FUNCTION tallymill_adopt.statistics_on(p_old oid, p_new oid) RETURNS TABLE (schema text, name text, before text, statements text[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT n.nspname, x.stxname, tallymill_adopt.before_name(x.stxname, x.oid),
         array_remove(ARRAY[pg_get_statisticsobjdef(x.oid),
                            CASE WHEN x.stxstattarget >= 0 THEN format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, x.stxname, x.stxstattarget) END,
                            format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, x.stxname, nullif(obj_description(x.oid, 'pg_statistic_ext'), '')),
                            CASE WHEN pg_get_userbyid(x.stxowner) <> current_user THEN format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, x.stxname, pg_get_userbyid(x.stxowner)) END], NULL)
  FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace
  WHERE x.stxrelid = p_old
    AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                    WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p_old AND d.refobjsubid > 0
                      AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = p_new AND b.attname = a.attname AND NOT b.attisdropped))
  ORDER BY x.oid
$$;

-- What an INSERT leaves out becomes what it became; but for numbers that become UUIDs, and times without a zone, whose expressions would be read in that of the session.
CREATE FUNCTION tallymill_adopt.take_defaults() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
BEGIN
  FOR one IN SELECT a.attname AS name, o.fallback
             FROM tallymill_adopt.state s JOIN pg_attribute a ON a.attrelid = s.old_table JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             JOIN pg_attribute n ON n.attrelid = s.new_table AND n.attname = a.attname LEFT JOIN pg_attrdef f ON f.adrelid = n.attrelid AND f.adnum = n.attnum
             CROSS JOIN LATERAL (SELECT t.text, CASE WHEN a.atttypid = 'json'::regtype THEN format('(%s)::jsonb', t.text) ELSE t.text END AS fallback FROM pg_get_expr(d.adbin, d.adrelid) AS t (text)) o
             WHERE NOT (a.attname = 'id' AND s.has_numbers) AND NOT (a.attname = 'created_at' AND a.atttypid = 'timestamp'::regtype) AND NOT (n.attnotnull AND o.text ~ '^NULL')
               AND o.fallback IS DISTINCT FROM pg_get_expr(f.adbin, f.adrelid) LOOP
    EXECUTE format('ALTER TABLE tallymill_adopt.analytics_events ALTER COLUMN %I SET DEFAULT %s', one.name, one.fallback);
  END LOOP;
END
$$;

-- What who stores events needs for the defaults of a table's columns, which COPY asks for where it does not name them: sequences, and functions that not everybody may call.
CREATE FUNCTION tallymill_adopt.needed_for_defaults(p_table oid) RETURNS TABLE (right_on text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT CASE WHEN p.oid IS NULL THEN format('USAGE ON SEQUENCE %s', c.oid::regclass) ELSE format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) END
  FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
  LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid AND c.relkind = 'S' LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
  WHERE f.adrelid = p_table AND (NOT has_sequence_privilege('tallymill_ingest', c.oid, 'USAGE') OR NOT has_function_privilege('tallymill_ingest', p.oid, 'EXECUTE'))
$$;

-- Materialized views that still show an old table. Those on the statistics wait until the days that were adopted have theirs, or else they would show part of them; unless p_is_of_all.
CREATE FUNCTION tallymill_adopt.stale_views(p_is_of_all boolean) RETURNS TABLE (name text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT m ->> 'name' FROM tallymill_adopt.state s CROSS JOIN LATERAL jsonb_array_elements(s.kept -> 'materialized') m
  WHERE EXISTS (SELECT FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v WHERE v.view = (m ->> 'view')::oid)
    AND (p_is_of_all OR NOT EXISTS (SELECT FROM tallymill.days d WHERE d.dirty_since <= s.swapped_at)
         OR NOT EXISTS (SELECT FROM tallymill_adopt.views_on(s.old_stats) v WHERE v.view = (m ->> 'view')::oid)) ORDER BY 1
$$;

-- Behind the swap: one of them made anew over the new table, given to its owner and filled, then in the place of the other; and the views on it. Until then it shows what it showed.
CREATE FUNCTION tallymill_adopt.renew_view(p_name text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  entry constant jsonb := (SELECT m FROM tallymill_adopt.state s, jsonb_array_elements(s.kept -> 'materialized') m WHERE m ->> 'name' = p_name);
  view constant oid := entry ->> 'view';
  views text[] := '{}';
  functions text[] := '{}';
  indexes jsonb;
  one record;
  statement text;
BEGIN
  FOR statement IN SELECT e #>> '{}' FROM jsonb_array_elements(entry -> 'statements') e LOOP
    EXECUTE statement;
  END LOOP;
  EXECUTE format('REFRESH MATERIALIZED VIEW %s', tallymill_adopt.adopting_name(view)); -- as its owner, whose functions it may call
  PERFORM set_config('check_function_bodies', 'off', true);
  FOR one IN SELECT f.* FROM tallymill_adopt.functions_on(VARIADIC view || ARRAY(SELECT v.view FROM tallymill_adopt.views_on(view) v)) f LOOP
    functions := functions || one.definition;
    EXECUTE one.emptied;
  END LOOP;
  FOR one IN SELECT v.* FROM tallymill_adopt.views_on(view) v LOOP
    views := views || tallymill_adopt.view_statements(one.view, one.name, true);
  END LOOP;
  FOR one IN SELECT v.* FROM tallymill_adopt.views_on(view) v ORDER BY v.level DESC LOOP
    EXECUTE format('DROP VIEW %s', one.name);
  END LOOP;
  indexes := (SELECT coalesce(jsonb_object_agg(i.indexrelid::text, c.relname), '{}') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = view);
  statement := format('ALTER MATERIALIZED VIEW %s RENAME TO %I', tallymill_adopt.adopting_name(view), (SELECT c.relname FROM pg_class c WHERE c.oid = view));
  FOR one IN SELECT format('ALTER INDEX %I.%I RENAME TO %I', n.nspname, 'tallymill_adopting_' || k.key, k.value) AS text
             FROM jsonb_each_text(indexes) k, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = view LOOP
    views := ARRAY[one.text] || views;
  END LOOP;
  EXECUTE format('DROP MATERIALIZED VIEW %s', p_name);
  EXECUTE statement;
  FOREACH statement IN ARRAY views || functions LOOP
    EXECUTE statement;
  END LOOP;
END
$$;
