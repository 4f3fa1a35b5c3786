-- Who may do what to whom: nothing that a stranger makes in `public` runs as one of us, and a login that may only store events can neither rewrite what was
-- committed nor fill the database with months, topics or owners. Runs in psql as it stands, after 0020.

SET ROLE tallymill_admin;

-- 1. Names. Whoever may CREATE in a schema of the search_path has his function or operator taken for ours where its types fit better: to_char(date, text), nextval(text).

DO $$
DECLARE
  ours regprocedure;
BEGIN
  FOR ours IN
    SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = 'tallymill'::pg_catalog.regnamespace AND l.lanname = 'plpgsql'
      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS c (setting) WHERE c.setting LIKE 'search_path=%')
  LOOP
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', ours);
  END LOOP;
END
$$;

-- What the planner puts in place of a call has no settings of its own (with them number() was 6 times slower): these are parsed here and now, and names said in full.
CREATE OR REPLACE FUNCTION tallymill.number(p_value jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN pg_catalog.jsonb_typeof(p_value) OPERATOR(pg_catalog.=) 'number' THEN p_value::pg_catalog.numeric END;

CREATE OR REPLACE FUNCTION tallymill.label(p_value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(pg_catalog.left(p_value OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[], 100), '(none)');

-- The rows that other programs inserted, by UTC day, as a count and a hash that no order changes: two looks that agree saw the same rows, whatever was INSERTed, UPDATEd or
-- DELETEd in between. All columns that statistics or rollups may read are in the hash. The planner puts it in place, sees the range and reads one month's partial index.
CREATE OR REPLACE FUNCTION tallymill.foreign_rows(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (day date, rows bigint, hash bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT (pg_catalog.timezone('UTC', e.created_at))::pg_catalog.date, pg_catalog.count(*),
         pg_catalog.bit_xor(pg_catalog.hash_record_extended(
           ROW (e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.is_internal, e.created_at), 0))
  FROM public.analytics_events e
  WHERE e.batch_id IS NULL AND e.created_at OPERATOR(pg_catalog.>=) p_from AND e.created_at OPERATOR(pg_catalog.<) p_to
  GROUP BY 1;
END;

-- 2. A delta is written once, by the transaction that commits its batch. The id of a batch is known to the session that drew it last: a worker draws it when its transaction begins,
-- and draws another with the fence, so that from the commit on nobody holds it. Refused (TM004): another session's id, and a second delta.
CREATE OR REPLACE FUNCTION tallymill.add_delta(p_batch_id bigint, p_delta bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF currval('tallymill.batch_ids') <> p_batch_id THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the delta of batch %s is written by the transaction that commits it', p_batch_id);
  END IF;
  IF pg_table_size('tallymill.deltas') < 268435456
     AND NOT EXISTS (SELECT FROM pg_trigger t
                     WHERE t.tgrelid IN (SELECT 'public.analytics_events'::regclass
                                         UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = 'public.analytics_events'::regclass)
                       AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D' AND NOT t.tgisinternal)
     AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'citus') THEN
    INSERT INTO tallymill.deltas (batch_id, delta) VALUES (p_batch_id, p_delta) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('batch %s has its delta', p_batch_id);
    END IF;
  END IF;
END
$$;

-- 3. Limits on what a claim may enter (make_month has its own). As triggers, so that they hold whichever function claims.

-- Topics that a member of tallymill_admin enters are not counted; those that are there by now neither.
ALTER TABLE tallymill.clusters ADD COLUMN entered_by_admin boolean NOT NULL DEFAULT true;
ALTER TABLE tallymill.clusters ALTER COLUMN entered_by_admin SET DEFAULT pg_catalog.pg_has_role(session_user, 'tallymill_admin', 'MEMBER');

CREATE FUNCTION tallymill.limit_topics() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.clusters', 0));
  IF (SELECT count(*) FROM tallymill.clusters c WHERE NOT c.entered_by_admin) > 64 THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('topic %s would be the 65th that was not entered by tallymill_admin', NEW.topic),
      HINT = format('Have a member of tallymill_admin run: INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES (%L, %L, %L);',
                    NEW.topic, NEW.cluster_id, NEW.consumer_group);
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION tallymill.limit_owners() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('topic partition %s of %s: the books take topic partitions below 10000', NEW.topic_partition, NEW.topic);
END
$$;

REVOKE ALL ON FUNCTION tallymill.limit_topics(), tallymill.limit_owners() FROM PUBLIC;
CREATE TRIGGER limit_topics AFTER INSERT ON tallymill.clusters FOR EACH ROW WHEN (NOT NEW.entered_by_admin) EXECUTE FUNCTION tallymill.limit_topics();
CREATE TRIGGER limit_owners BEFORE INSERT ON tallymill.owners FOR EACH ROW WHEN (NEW.topic_partition >= 10000) EXECUTE FUNCTION tallymill.limit_owners();

RESET ROLE;
