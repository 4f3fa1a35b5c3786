-- Whether somebody's trigger fires where events are inserted: it may make a row another event's (id, created_at) or another's (batch_id), so the worker reads
-- again what it stored, and leaves no delta. Without one nothing is read. On any part of the events, at whatever depth; asked from the triggers, of which a
-- database has few, not from the parts.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.has_insert_trigger() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM pg_trigger t
                 WHERE NOT t.tgisinternal AND t.tgtype & 4 <> 0 AND t.tgenabled <> 'D'
                   AND (t.tgrelid = 'public.analytics_events'::regclass OR pg_partition_root(t.tgrelid) = 'public.analytics_events'::regclass));
END
$$;

REVOKE ALL ON FUNCTION tallymill.has_insert_trigger() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.has_insert_trigger() TO tallymill_ingest;

RESET ROLE;
