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
