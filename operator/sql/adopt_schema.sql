-- What an adoption needs while it is under way: its books, the log of changes, and the steps as functions. `tallymill adopt --finish` or `--abandon` drops it all.
--
-- Invariants. The old table is the truth until swap() commits, and after it the new one is. Whatever commits in the old table is in `log` by the same commit, from log_changes()'s
-- commit on; a month is copied by one statement in one snapshot that is taken later; and replay() makes what the log names in the new table what it is in the old one now. So once the log is
-- empty under the lock, both hold the same. Each function is one step, whole or not at all; run again, it does what is left.

CREATE SCHEMA tallymill_adopt;

-- step: laid (nothing is logged yet), copying (before the swap), abandoning, swapped. How columns are mapped: names in the new table, types in the old one, expressions over o (a row of the
-- old one).
CREATE TABLE tallymill_adopt.state (
  only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  step        text NOT NULL DEFAULT 'laid' CHECK (step IN ('laid', 'copying', 'abandoning', 'swapped')),
  release     text NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  swapped_at  timestamptz,
  old_table   oid NOT NULL,
  old_stats   oid,
  new_table   oid,
  new_stats   oid,
  time_zone   text NOT NULL,
  has_numbers boolean NOT NULL,
  options     text[],
  columns     text[] NOT NULL,
  kinds       text[] NOT NULL,
  expressions text NOT NULL,
  created_at  text NOT NULL,
  kept        jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE tallymill_adopt.log (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL);
CREATE TABLE tallymill_adopt.months (month date PRIMARY KEY, copied bigint NOT NULL);
CREATE TABLE tallymill_adopt.days (day date PRIMARY KEY);
-- Indexes of the application that were made on the new table too: whose they are, and as what.
CREATE TABLE tallymill_adopt.indexes (old_index oid PRIMARY KEY, name text NOT NULL, shape text NOT NULL);

-- The old table as it is called at the moment; NULL: somebody dropped it.
CREATE FUNCTION tallymill_adopt.old_name() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('%I.%I', n.nspname, c.relname) FROM tallymill_adopt.state s JOIN pg_class c ON c.oid = s.old_table JOIN pg_namespace n ON n.oid = c.relnamespace $$;

-- Who inserts, updates or deletes needs no right on the log.
CREATE FUNCTION tallymill_adopt.note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION 'analytics_events is being adopted by Tallymill and cannot be emptied meanwhile' USING HINT = 'tallymill adopt --abandon gives the adoption up.';
  ELSIF TG_LEVEL = 'ROW' THEN
    INSERT INTO tallymill_adopt.log (id) SELECT r.id FROM (VALUES (OLD.id::text), (NEW.id::text)) AS r (id) WHERE r.id IS NOT NULL GROUP BY r.id;
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO tallymill_adopt.log (id) SELECT n.id::text FROM new_rows n;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO tallymill_adopt.log (id) SELECT o.id::text FROM old_rows o;
  ELSE
    INSERT INTO tallymill_adopt.log (id) SELECT o.id::text FROM old_rows o UNION SELECT n.id::text FROM new_rows n;
  END IF;
  RETURN NULL;
END
$$;

-- How the columns of the old table become those of the new one: their names, their types, and expressions over o, a row of the old one. What is padded with blanks is not so in the new one.
CREATE FUNCTION tallymill_adopt.mapping(p_table oid, p_time_zone text) RETURNS TABLE (has_numbers boolean, columns text[], kinds text[], expressions text, created_at text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT bool_or(m.name = 'id' AND m.kind <> 'uuid'), array_agg(quote_ident(m.name) ORDER BY m.attnum), array_agg(m.written ORDER BY m.attnum),
         string_agg(m.expression, ', ' ORDER BY m.attnum), max(m.expression) FILTER (WHERE m.name = 'created_at')
  FROM (SELECT a.attname AS name, a.attnum, format_type(a.atttypid, NULL) AS kind, format_type(a.atttypid, a.atttypmod) AS written,
               CASE WHEN a.attname = 'id' AND a.atttypid <> 'uuid'::regtype THEN 'tallymill.adopted_id(o.id)'
                    WHEN a.attname IN ('event_name', 'event_category', 'session_id') AND a.atttypid = 'bpchar'::regtype THEN format('o.%I::text', a.attname)
                    WHEN a.attname = 'event_data' THEN 'coalesce(o.event_data::jsonb, ''{}'')'
                    WHEN a.attname = 'is_internal' THEN 'coalesce(o.is_internal, false)'
                    WHEN a.attname = 'created_at' AND a.atttypid = 'timestamp'::regtype THEN format('(o.created_at AT TIME ZONE %L)', p_time_zone)
                    ELSE format('o.%I', a.attname) END AS expression
        FROM pg_attribute a WHERE a.attrelid = p_table AND a.attnum > 0 AND NOT a.attisdropped) AS m
$$;

-- Whether its columns are still those that the adoption began with: asked for a good message, and under a lock that keeps them as they are for what is decided by it. One that came since would be
-- lost in the swap, and what another type made of the values is not in the log.
CREATE FUNCTION tallymill_adopt.check_columns() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF to_regclass('public.analytics_events') IS DISTINCT FROM (SELECT s.old_table FROM tallymill_adopt.state s) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('analytics_events is another table than when its adoption began: that one %s', coalesce('is ' || tallymill_adopt.old_name(), 'was dropped')),
      HINT = 'Where it was renamed, give it its name again, and run tallymill adopt again; or tallymill adopt --abandon gives this adoption up.';
  END IF;
  IF NOT EXISTS (SELECT FROM tallymill_adopt.state s CROSS JOIN LATERAL tallymill_adopt.mapping(s.old_table, s.time_zone) m
                 WHERE (m.columns, m.kinds, m.expressions) = (s.columns, s.kinds, s.expressions)) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = 'analytics_events has other columns, or other types of them, than when its adoption began, and the copy has not',
      HINT = 'tallymill adopt --abandon gives this adoption up; then begin anew.';
  END IF;
END
$$;

-- The triggers that log, and for whom each fires: statements of all but those in replica mode (O: session_replication_role is origin or local), whose changes come row by row, for an apply worker runs no
-- statements (R); and TRUNCATE by anybody (A).
CREATE FUNCTION tallymill_adopt.log_triggers() RETURNS TABLE (name text, enabled "char") LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ VALUES ('tallymill_adopt_insert', 'O'::"char"), ('tallymill_adopt_update', 'O'), ('tallymill_adopt_delete', 'O'), ('tallymill_adopt_row', 'R'), ('tallymill_adopt_truncate', 'A') $$;

-- Whether all changes are still logged: DISABLE TRIGGER, as restores say it, and ENABLE TRIGGER behind it leave them otherwise than they were made.
CREATE FUNCTION tallymill_adopt.check_triggers() RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names constant text := (SELECT string_agg(l.name, ', ' ORDER BY l.name) FROM tallymill_adopt.log_triggers() l
                          WHERE NOT EXISTS (SELECT FROM pg_trigger g JOIN tallymill_adopt.state s ON s.old_table = g.tgrelid WHERE g.tgname = l.name AND g.tgenabled = l.enabled));
BEGIN
  IF names IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('triggers that log the changes of analytics_events were dropped, or switched off or over (%s): what was written meanwhile is not in the log', names),
      HINT = 'tallymill adopt --abandon gives this adoption up; then begin anew.';
  END IF;
END
$$;

-- What an index is but for its name and its table: one of the old table reads as that of the new one that was made of it only where no expression is in it, whose casts are of its columns' types.
CREATE FUNCTION tallymill_adopt.index_shape(p_index oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT regexp_replace(substr(pg_get_indexdef(c.oid), length(format('CREATE INDEX %I ON ', c.relname)) + 1), '^(ONLY )?\S+ USING ', '') FROM pg_class c WHERE c.oid = p_index $$;

-- The indexes of the old table that the new one has not: made already, or one of ours. (Invalid ones are being built.) name: under which it is made there; ours keep theirs.
CREATE FUNCTION tallymill_adopt.missing_indexes() RETURNS TABLE (old_index oid, name text, shape text) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.oid, CASE WHEN n.name IS NULL THEN c.relname ELSE left(c.relname, 59) || '_own' END, o.shape
  FROM tallymill_adopt.state s JOIN pg_index i ON i.indrelid = s.old_table JOIN pg_class c ON c.oid = i.indexrelid CROSS JOIN LATERAL (SELECT tallymill_adopt.index_shape(c.oid) AS shape) o
  LEFT JOIN LATERAL (SELECT d.relname AS name, tallymill_adopt.index_shape(d.oid) AS shape FROM pg_index p JOIN pg_class d ON d.oid = p.indexrelid WHERE p.indrelid = s.new_table AND d.relname = c.relname) n ON true
  WHERE NOT i.indisunique AND NOT i.indisexclusion AND i.indisvalid AND regexp_replace(o.shape, ' WITH \([^)]*\)', '') IS DISTINCT FROM regexp_replace(n.shape, ' WITH \([^)]*\)', '')
    AND NOT EXISTS (SELECT FROM tallymill_adopt.indexes x WHERE x.old_index = c.oid AND x.shape = o.shape)
$$;

-- The indexes that the old table has beside ours: readers go on using them. Before the copy, and once more behind it for those that came meanwhile.
CREATE FUNCTION tallymill_adopt.take_indexes() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
BEGIN
  FOR one IN SELECT m.old_index, m.old_index::regclass AS old_name, m.name, m.shape FROM tallymill_adopt.missing_indexes() m LOOP
    EXECUTE format('CREATE INDEX %I ON tallymill_adopt.analytics_events USING %s', one.name, one.shape);
    INSERT INTO tallymill_adopt.indexes VALUES (one.old_index, one.name, one.shape) ON CONFLICT (old_index) DO UPDATE SET name = excluded.name, shape = excluded.shape;
  END LOOP;
EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
  RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('index %s cannot be made on the new table, whose columns have other types (tallymill adopt --plan): %s', one.old_name, SQLERRM),
    HINT = format('DROP INDEX %s, or make it anew over an expression that goes with both; then tallymill adopt again.', one.old_name);
END
$$;

-- Under the lock of the swap, which would hold it as long as an index takes: those that came since take_indexes() looked.
CREATE FUNCTION tallymill_adopt.check_indexes() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  names constant text := (SELECT string_agg(m.old_index::regclass::text, ', ') FROM tallymill_adopt.missing_indexes() m);
BEGIN
  IF names IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('indexes came meanwhile, and the new table has not their like: %s', names), HINT = 'Run tallymill adopt again: it makes them before it swaps.';
  END IF;
END
$$;

-- The first step takes no lock of the old table: its whole schema steps aside for an empty one of that name, in which the migrations of the same transaction run as they stand. The
-- names that it changes are not seen by anybody else before the commit, and by then put_back() has changed them back. (Renaming the table alone would be simpler; everybody would
-- wait for it while some hundred functions and views are made.)
CREATE FUNCTION tallymill_adopt.make_room(p_release text, p_time_zone text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO tallymill_adopt.state (release, old_table, old_stats, time_zone, has_numbers, options, columns, kinds, expressions, created_at)
  SELECT p_release, c.oid, to_regclass('public.analytics_daily_stats'), p_time_zone, m.has_numbers, c.reloptions, m.columns, m.kinds, m.expressions, m.created_at
  FROM pg_class c CROSS JOIN LATERAL tallymill_adopt.mapping(c.oid, p_time_zone) m WHERE c.oid = 'public.analytics_events'::regclass;
  ALTER SCHEMA public RENAME TO tallymill_aside;
  CREATE SCHEMA public;
END
$$;

-- Behind the migrations, in the same transaction: what they made in `public` goes into the real one, or waits in this schema where a table of the application has its name. Whatever
-- is bound to the schema that they ran in, as 'public'::regnamespace in a view would be, keeps it from being dropped, and the step fails.
CREATE FUNCTION tallymill_adopt.put_back() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s tallymill_adopt.state;
  one record;
BEGIN
  UPDATE tallymill_adopt.state SET new_table = 'public.analytics_events'::regclass, new_stats = 'public.analytics_daily_stats'::regclass RETURNING * INTO s;
  GRANT USAGE ON SCHEMA tallymill_adopt TO tallymill_admin;
  ALTER TABLE public.analytics_events SET SCHEMA tallymill_adopt;
  ALTER TABLE public.analytics_daily_stats SET SCHEMA tallymill_adopt;
  ALTER SCHEMA public RENAME TO tallymill_made;
  ALTER SCHEMA tallymill_aside RENAME TO public;
  FOR one IN SELECT a.privilege_type AS privilege, pg_get_userbyid(a.grantee) AS grantee FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
             WHERE n.nspname = 'tallymill_made' AND a.grantee <> n.nspowner LOOP
    EXECUTE format('GRANT %s ON SCHEMA public TO %I', one.privilege, one.grantee);
  END LOOP;
  FOR one IN SELECT c.relname AS name, CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tallymill_made' AND c.relkind IN ('r', 'p', 'v', 'm') LOOP
    EXECUTE format('ALTER %s tallymill_made.%I SET SCHEMA public', one.kind, one.name);
  END LOOP;
  DROP SCHEMA tallymill_made;
  -- What the old table has beside ours: writers go on naming such columns.
  FOR one IN SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) || CASE WHEN l.oid IS NULL THEN '' ELSE format(' COLLATE %I.%I', k.nspname, l.collname) END AS kind
             FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.oid <> y.typcollation LEFT JOIN pg_namespace k ON k.oid = l.collnamespace
             WHERE a.attrelid = s.old_table AND a.attnum > 0 AND NOT a.attisdropped
               AND NOT EXISTS (SELECT FROM pg_attribute n WHERE n.attrelid = s.new_table AND n.attname = a.attname AND NOT n.attisdropped) ORDER BY a.attnum LOOP
    EXECUTE format('ALTER TABLE tallymill_adopt.analytics_events ADD COLUMN %I %s', one.name, one.kind);
  END LOOP;
  PERFORM tallymill_adopt.take_defaults();
  PERFORM tallymill_adopt.take_indexes();
  PERFORM tallymill_adopt.try_standing();
  -- Programs refuse to start until the swap fills these again.
  CREATE TABLE tallymill_adopt.schema_version AS TABLE tallymill.schema_version;
  CREATE TABLE tallymill_adopt.schema_objects AS TABLE tallymill.schema_objects;
  DELETE FROM tallymill.schema_version;
  DELETE FROM tallymill.schema_objects;
END
$$;

-- The second step, with which the copy begins: from its commit on the changes of the old table are logged. Writers wait for it, readers do not. Returns when it had the lock.
CREATE FUNCTION tallymill_adopt.log_changes() RETURNS timestamptz LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  locked_at timestamptz;
BEGIN
  LOCK TABLE public.analytics_events IN SHARE ROW EXCLUSIVE MODE;
  locked_at := clock_timestamp();
  PERFORM tallymill_adopt.check_columns();
  CREATE TRIGGER tallymill_adopt_insert AFTER INSERT ON public.analytics_events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tallymill_adopt.note_change();
  CREATE TRIGGER tallymill_adopt_update AFTER UPDATE ON public.analytics_events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tallymill_adopt.note_change();
  CREATE TRIGGER tallymill_adopt_delete AFTER DELETE ON public.analytics_events REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tallymill_adopt.note_change();
  CREATE TRIGGER tallymill_adopt_row AFTER INSERT OR UPDATE OR DELETE ON public.analytics_events FOR EACH ROW EXECUTE FUNCTION tallymill_adopt.note_change();
  CREATE TRIGGER tallymill_adopt_truncate BEFORE TRUNCATE ON public.analytics_events FOR EACH STATEMENT EXECUTE FUNCTION tallymill_adopt.note_change();
  ALTER TABLE public.analytics_events ENABLE REPLICA TRIGGER tallymill_adopt_row;
  ALTER TABLE public.analytics_events ENABLE ALWAYS TRIGGER tallymill_adopt_truncate;
  PERFORM tallymill_adopt.restore_options();
  UPDATE tallymill_adopt.state SET step = 'copying' WHERE step = 'laid';
  RETURN locked_at;
END
$$;

-- Whether text of a json column is one of jsonb too: \u0000 and half a surrogate are not, nor is a number without end.
CREATE FUNCTION tallymill_adopt.is_jsonb(p_text text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN p_text IS NULL OR p_text::jsonb IS NOT NULL;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN false;
END
$$;

-- Names the rows of the old table that the new one does not take (TM006): of these ids, or NULL: of all. They came since the adoption began, which looked at all that were there.
CREATE FUNCTION tallymill_adopt.name_strays(p_ids text[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  tests text;
  strays record;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state;
  tests := (SELECT string_agg(format('CASE WHEN %s THEN %L END', t.is_odd, t.why), ', ') FROM (VALUES
      ('created_at', NULL, s.created_at || ' IS NULL', 'created_at is NULL'),
      ('created_at', NULL, format('%s < ''1970-01-01'' OR %1$s > now() + interval ''3600 days''', s.created_at), 'created_at is before 1970 or years ahead'),
      ('event_name', NULL, 'o.event_name IS NULL', 'event_name is NULL'), ('event_name', NULL, 'length(o.event_name) > 100', 'event_name has more than 100 characters'),
      ('event_category', NULL, 'length(o.event_category) > 50', 'event_category has more than 50 characters'),
      ('session_id', NULL, 'length(o.session_id::text) > 255', 'session_id has more than 255 characters'),
      ('event_data', 'json', 'NOT tallymill_adopt.is_jsonb(o.event_data::text)', 'event_data is nothing that jsonb takes (\u0000?)')) AS t (name, kind, is_odd, why)
    JOIN unnest(s.columns, s.kinds) AS c (name, kind) ON c.name = t.name AND (t.kind IS NULL OR c.kind = t.kind));
  EXECUTE format($query$
    SELECT count(*) AS rows, string_agg(format('%%s: %%s', f.id, f.why), '; ' ORDER BY f.id) FILTER (WHERE f.place <= 3) AS names
    FROM (SELECT w.*, row_number() OVER (ORDER BY w.id) AS place
          FROM (SELECT o.id::text AS id, concat_ws(', ', %s) AS why FROM %s o WHERE $1 IS NULL OR o.id = ANY ($1::%s[])) w WHERE w.why <> '') f$query$,
    tests, tallymill_adopt.old_name(), s.kinds[array_position(s.columns, 'id')]) INTO strays USING p_ids;
  IF strays.rows > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the new table does not take %s rows that are new or other since the adoption began: %s', strays.rows, strays.names),
      HINT = 'UPDATE or DELETE them; then tallymill adopt goes on.';
  END IF;
END
$$;

-- Whether a month can have a table. Where not, the rows that would be in it are named (TM006); false: they are gone by now.
CREATE FUNCTION tallymill_adopt.is_month(p_month date, p_ids text[]) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
  IF p_month >= '1970-01-01' AND p_month <= now() + interval '3600 days' THEN
    RETURN true;
  END IF;
  PERFORM tallymill_adopt.name_strays(p_ids);
  RETURN false;
END
$$;

-- The months that are not copied yet, oldest first: those with rows, this one and the next; and those between that have none, of the last two years: the application may date back.
CREATE FUNCTION tallymill_adopt.months_left() RETURNS TABLE (month date) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
  PERFORM tallymill_adopt.check_columns();
  FOR month IN EXECUTE format($query$
    WITH seen AS MATERIALIZED (SELECT DISTINCT date_trunc('month', %1$s) AS month FROM %2$s o)
    SELECT m.month FROM (
      SELECT s.month::date FROM seen s
      UNION SELECT generate_series(greatest((SELECT min(s.month) FROM seen s), date_trunc('month', now()) - interval '24 months'), date_trunc('month', now()) + interval '1 month',
                                   interval '1 month')::date
      UNION SELECT (date_trunc('month', now()) + n * interval '1 month')::date FROM generate_series(0, 1) n) AS m (month)
    WHERE NOT EXISTS (SELECT FROM tallymill_adopt.months c WHERE c.month = m.month) ORDER BY 1$query$,
    (SELECT s.created_at FROM tallymill_adopt.state s), tallymill_adopt.old_name()) LOOP
    IF tallymill_adopt.is_month(month, NULL) THEN
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;

-- One month: its table without indexes, filled by one statement, then attached, which builds them. Loading into the indexed table takes three times as long.
CREATE FUNCTION tallymill_adopt.copy_month(p_month date, p_is_filled boolean) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  name constant text := 'analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM');
  next_month constant date := p_month + interval '1 month';
  rows bigint := 0;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state WHERE step = 'copying';
  PERFORM tallymill_adopt.check_columns();
  EXECUTE format('CREATE TABLE public.%I (LIKE tallymill_adopt.analytics_events INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY,
                    CONSTRAINT %I CHECK (created_at >= %L::timestamptz AND created_at < %L::timestamptz))', name, name || '_month', p_month, next_month);
  IF p_is_filled THEN
    BEGIN
      EXECUTE format('INSERT INTO public.%1$I (%2$s) SELECT %3$s FROM %4$s o WHERE %5$s >= %6$L::timestamptz AND %5$s < %7$L::timestamptz', name, array_to_string(s.columns, ', '), s.expressions,
                     tallymill_adopt.old_name(), s.created_at, p_month, next_month);
      GET DIAGNOSTICS rows = ROW_COUNT;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
      PERFORM tallymill_adopt.name_strays(NULL);
      RAISE;
    END;
    EXECUTE format('INSERT INTO tallymill_adopt.days SELECT DISTINCT created_at::date FROM public.%I ON CONFLICT DO NOTHING', name);
  END IF;
  EXECUTE format('ALTER TABLE public.%I OWNER TO tallymill_admin', name);
  EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', name);
  EXECUTE format('ALTER TABLE tallymill_adopt.analytics_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name, p_month::timestamptz, next_month::timestamptz);
  INSERT INTO tallymill.months (month, state) VALUES (p_month, 'open');
  INSERT INTO tallymill_adopt.months VALUES (p_month, rows);
  RETURN rows;
END
$$;

-- Takes up to so many changes from the log, and makes the rows that they name what they are in the old table now.
CREATE FUNCTION tallymill_adopt.replay(p_limit integer) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  ids text[];
  taken integer;
  kind text;
  m date;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state;
  PERFORM tallymill_adopt.check_columns();
  WITH gone AS (DELETE FROM tallymill_adopt.log WHERE seq IN (SELECT l.seq FROM tallymill_adopt.log l ORDER BY l.seq LIMIT p_limit) RETURNING id)
    SELECT array_agg(DISTINCT g.id), count(*) INTO ids, taken FROM gone g;
  IF taken = 0 THEN
    RETURN 0;
  END IF;
  kind := (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = s.old_table AND a.attname = 'id');
  FOR m IN EXECUTE format('SELECT DISTINCT date_trunc(''month'', %s)::date FROM %s o WHERE o.id = ANY($1::%s[])', s.created_at, tallymill_adopt.old_name(), kind) USING ids LOOP
    IF tallymill_adopt.is_month(m, ids) AND NOT EXISTS (SELECT FROM tallymill_adopt.months c WHERE c.month = m) THEN
      PERFORM tallymill_adopt.copy_month(m, false);
    END IF;
  END LOOP;
  EXECUTE format('DELETE FROM tallymill_adopt.analytics_events WHERE id = ANY(%s)',
                 CASE WHEN s.has_numbers THEN 'ARRAY(SELECT tallymill.adopted_id(i::bigint) FROM unnest($1) i)' ELSE '$1::uuid[]' END) USING ids;
  EXECUTE format('WITH put AS (INSERT INTO tallymill_adopt.analytics_events (%s) SELECT %s FROM %s o WHERE o.id = ANY($1::%s[]) RETURNING created_at)
                  INSERT INTO tallymill_adopt.days SELECT DISTINCT created_at::date FROM put ON CONFLICT DO NOTHING', array_to_string(s.columns, ', '), s.expressions, tallymill_adopt.old_name(), kind) USING ids;
  RETURN taken;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
  PERFORM tallymill_adopt.name_strays(ids);
  RAISE;
END
$$;

-- Months in which the two tables differ, in the snapshot of the caller: by count and by a hash of every mapped column, in no order. What the log still names is left out of both.
CREATE FUNCTION tallymill_adopt.compare() RETURNS TABLE (month date, old_rows bigint, new_rows bigint, is_equal boolean) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  columns text;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state;
  PERFORM tallymill_adopt.check_triggers();
  columns := (SELECT string_agg('n.' || c, ', ' ORDER BY place) FROM unnest(s.columns) WITH ORDINALITY AS t (c, place));
  RETURN QUERY EXECUTE format($query$
    WITH before AS (
      SELECT date_trunc('month', %1$s)::date AS month, count(*) AS rows, sum(hashtextextended(ROW(%2$s)::text, 0)::numeric) AS hash
      FROM %3$s o WHERE NOT EXISTS (SELECT FROM tallymill_adopt.log l WHERE l.id = o.id::text) GROUP BY 1
    ), after AS (
      SELECT date_trunc('month', n.created_at)::date AS month, count(*) AS rows, sum(hashtextextended(ROW(%4$s)::text, 0)::numeric) AS hash
      FROM tallymill_adopt.analytics_events n WHERE NOT EXISTS (SELECT FROM tallymill_adopt.log l WHERE %5$s = n.id) GROUP BY 1
    )
    SELECT coalesce(b.month, a.month), coalesce(b.rows, 0), coalesce(a.rows, 0), b.rows IS NOT DISTINCT FROM a.rows AND b.hash IS NOT DISTINCT FROM a.hash
    FROM before b FULL JOIN after a ON a.month = b.month ORDER BY 1$query$,
    s.created_at, s.expressions, tallymill_adopt.old_name(), columns, CASE WHEN s.has_numbers THEN 'tallymill.adopted_id(l.id::bigint)' ELSE 'l.id::uuid' END);
END
$$;

-- Old names and new ones change places. The caller has set lock_timeout, and has the lock of the table. False: the log is longer than p_limit, which may be replayed under it.
CREATE FUNCTION tallymill_adopt.swap(p_limit integer) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  s tallymill_adopt.state;
  statements text[];
  views text[] := '{}';
  functions text[] := '{}';
  emptied text[] := '{}';
  keep jsonb;
  one record;
  statement text;
BEGIN
  SELECT * INTO s FROM tallymill_adopt.state WHERE step = 'copying' FOR UPDATE;
  LOCK TABLE public.analytics_events IN ACCESS EXCLUSIVE MODE;
  PERFORM tallymill_adopt.check_columns();
  PERFORM tallymill_adopt.check_triggers();
  PERFORM tallymill_adopt.check_indexes();
  PERFORM tallymill_adopt.take_defaults(); -- which may be others by now
  IF (SELECT count(*) FROM (SELECT FROM tallymill_adopt.log LIMIT p_limit + 1) AS l) > p_limit THEN
    RETURN false;
  END IF;
  IF to_regclass('public.analytics_daily_stats') IS DISTINCT FROM s.old_stats THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = 'analytics_daily_stats is another table than when its adoption began',
      HINT = 'Where there was none, DROP or rename it, and run tallymill adopt again; or tallymill adopt --abandon gives this adoption up: then begin anew.';
  END IF;
  -- What is locked below anyhow: if it is not to be had, that is known before anything was done.
  FOR one IN SELECT DISTINCT c.confrelid::regclass::text AS name FROM pg_constraint c
             WHERE c.conrelid = s.old_table AND c.contype = 'f' AND has_table_privilege(c.confrelid, 'UPDATE, DELETE, TRUNCATE') LOOP
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', one.name);
  END LOOP;
  IF s.old_stats IS NOT NULL THEN
    LOCK TABLE public.analytics_daily_stats IN ACCESS EXCLUSIVE MODE;
  END IF;
  PERFORM tallymill_adopt.replay(p_limit);
  -- By the names of before, which will be those of afterwards.
  FOR one IN SELECT v.* FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v WHERE v.kind = 'v' LOOP
    views := views || tallymill_adopt.view_statements(one.view, one.name, true);
  END LOOP;
  FOR one IN SELECT f.* FROM tallymill_adopt.functions_on(VARIADIC ARRAY[s.old_table, s.old_stats]
                                                          || ARRAY(SELECT v.view FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v WHERE v.kind = 'v')) f LOOP
    functions := functions || one.definition;
    emptied := emptied || one.emptied;
  END LOOP;
  statements := ARRAY(SELECT g.statement FROM tallymill_adopt.grants(s.old_table, 'public.analytics_events', s.new_table) g)
    || ARRAY(SELECT m.statement FROM tallymill_adopt.comments(s.old_table, 'public.analytics_events', 'TABLE', s.new_table) m)
    || ARRAY(SELECT m.statement FROM tallymill_adopt.index_comments(s.old_table, s.new_table) m)
    || ARRAY(SELECT unnest(x.statements) FROM tallymill_adopt.statistics_on(s.old_table, s.new_table) x)
    || ARRAY(SELECT unnest(x.statements) FROM tallymill_adopt.statistics_on(s.old_stats, s.new_stats) x)
    || ARRAY(SELECT format('GRANT %s TO tallymill_ingest', d.right_on) FROM tallymill_adopt.needed_for_defaults(s.new_table) d)
    || format('GRANT ALL ON public.analytics_events TO %s WITH GRANT OPTION', (SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c WHERE c.oid = s.old_table));
  keep := jsonb_build_object(
    'foreign_keys', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.conname, 'definition', pg_get_constraintdef(c.oid), 'on_delete', c.confdeltype, 'keys', cardinality(c.conkey), 'is_valid', c.convalidated,
                       'column', (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1]),
                       'other', c.confrelid::regclass::text, 'other_column', (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.confrelid AND a.attnum = c.confkey[1]))), '[]')
                     FROM pg_constraint c WHERE c.conrelid = s.old_table AND c.contype = 'f'),
    'materialized', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', v.name, 'view', v.view, 'statements', tallymill_adopt.view_statements(v.view, tallymill_adopt.adopting_name(v.view), false))), '[]')
                     FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v WHERE v.kind = 'm'),
    'statistics', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', x.schema, 'name', x.name, 'before', x.before)), '[]')
                   FROM (SELECT * FROM tallymill_adopt.statistics_on(s.old_table, s.new_table) UNION ALL SELECT * FROM tallymill_adopt.statistics_on(s.old_stats, s.new_stats)) x),
    'sequences', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', q.oid::regclass::text, 'column', a.attname)), '[]')
                  FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.old_table AND d.deptype = 'a' AND a.attname <> 'id'),
    'columns', (SELECT jsonb_object_agg(n.oid::text, (SELECT jsonb_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped))
                FROM unnest(ARRAY[s.new_table, s.new_stats]) AS n (oid)),
    'rights', (SELECT coalesce(jsonb_agg(d.right_on), '[]') FROM tallymill_adopt.needed_for_defaults(s.new_table) d),
    'indexes', (SELECT jsonb_agg(jsonb_build_object('name', c.relname, 'before', tallymill_adopt.before_name(c.relname, c.oid))) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid IN (s.old_table, s.old_stats)));
  DROP TRIGGER tallymill_adopt_insert ON public.analytics_events;
  DROP TRIGGER tallymill_adopt_update ON public.analytics_events;
  DROP TRIGGER tallymill_adopt_delete ON public.analytics_events;
  DROP TRIGGER tallymill_adopt_row ON public.analytics_events;
  DROP TRIGGER tallymill_adopt_truncate ON public.analytics_events;
  FOR one IN SELECT f ->> 'name' AS name FROM jsonb_array_elements(keep -> 'foreign_keys') f LOOP
    EXECUTE format('ALTER TABLE public.analytics_events DROP CONSTRAINT %I', one.name);
  END LOOP;
  PERFORM set_config('check_function_bodies', 'off', true);
  FOREACH statement IN ARRAY emptied LOOP
    EXECUTE statement;
  END LOOP;
  FOR one IN SELECT v.* FROM tallymill_adopt.views_on(s.old_table, s.old_stats) v WHERE v.kind = 'v' ORDER BY v.level DESC LOOP
    EXECUTE format('DROP VIEW %s', one.name);
  END LOOP;
  FOR one IN SELECT x ->> 'schema' AS schema, x ->> 'name' AS name, x ->> 'before' AS before FROM jsonb_array_elements(keep -> 'statistics') x LOOP
    EXECUTE format('ALTER STATISTICS %I.%I RENAME TO %I', one.schema, one.name, one.before);
  END LOOP;
  FOR one IN SELECT q ->> 'name' AS name FROM jsonb_array_elements(keep -> 'sequences') q LOOP -- or else --finish would drop them
    EXECUTE format('ALTER SEQUENCE %s OWNED BY NONE', one.name);
  END LOOP;
  FOR one IN SELECT i ->> 'name' AS name, i ->> 'before' AS before FROM jsonb_array_elements(keep -> 'indexes') i LOOP
    EXECUTE format('ALTER INDEX public.%I RENAME TO %I', one.name, one.before);
  END LOOP;
  ALTER TABLE public.analytics_events RENAME TO analytics_events_before;
  ALTER TABLE tallymill_adopt.analytics_events SET SCHEMA public;
  IF s.old_stats IS NOT NULL THEN
    ALTER TABLE public.analytics_daily_stats RENAME TO analytics_daily_stats_before;
    statements := statements || ARRAY(SELECT g.statement FROM tallymill_adopt.grants(s.old_stats, 'public.analytics_daily_stats', s.new_stats) g)
      || ARRAY(SELECT m.statement FROM tallymill_adopt.comments(s.old_stats, 'public.analytics_daily_stats', 'TABLE', s.new_stats) m)
      || format('GRANT SELECT ON public.analytics_daily_stats TO %s', (SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c WHERE c.oid = s.old_stats));
  END IF;
  ALTER TABLE tallymill_adopt.analytics_daily_stats SET SCHEMA public;
  BEGIN
    FOREACH statement IN ARRAY statements || views || functions LOOP
      EXECUTE statement;
    END LOOP;
  EXCEPTION WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('what stands on the old table cannot be made over the new one, whose columns have other types: %s (%s)', SQLERRM, left(statement, 100)),
      HINT = 'DROP it, and make it anew afterwards; then tallymill adopt goes on.';
  END;
  INSERT INTO tallymill.days (day, dirty_since, dirty_reason) SELECT d.day, clock_timestamp(), 'adopted' FROM tallymill_adopt.days d;
  INSERT INTO tallymill.schema_version SELECT * FROM tallymill_adopt.schema_version;
  INSERT INTO tallymill.schema_objects SELECT * FROM tallymill_adopt.schema_objects;
  UPDATE tallymill_adopt.state SET step = 'swapped', swapped_at = clock_timestamp(), kept = keep;
  RETURN true;
END
$$;

-- autovacuum of the old table, whatever it is called and if it is there: off, for no lock that is asked for a moment only gets past it; and as it was.
CREATE FUNCTION tallymill_adopt.stop_autovacuum() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF tallymill_adopt.old_name() IS NOT NULL THEN
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', tallymill_adopt.old_name());
  END IF;
END
$$;

CREATE FUNCTION tallymill_adopt.restore_options() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  was constant text := (SELECT split_part(o, '=', 2) FROM tallymill_adopt.state s, unnest(s.options) o WHERE o LIKE 'autovacuum_enabled=%');
BEGIN
  IF tallymill_adopt.old_name() IS NOT NULL THEN
    EXECUTE format('ALTER TABLE %s %s', tallymill_adopt.old_name(), CASE WHEN was IS NULL THEN 'RESET (autovacuum_enabled)' ELSE format('SET (autovacuum_enabled = %s)', was) END);
  END IF;
END
$$;

-- The adoption is given up: from its commit on the changes of the old table are no longer logged, and the copy is worth nothing.
CREATE FUNCTION tallymill_adopt.let_go() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
BEGIN
  IF tallymill_adopt.old_name() IS NOT NULL THEN
    FOR one IN SELECT l.name FROM tallymill_adopt.log_triggers() l LOOP
      EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', one.name, tallymill_adopt.old_name());
    END LOOP;
  END IF;
  PERFORM tallymill_adopt.restore_options();
  UPDATE tallymill_adopt.state SET step = 'abandoning';
END
$$;
