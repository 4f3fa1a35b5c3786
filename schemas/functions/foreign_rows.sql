-- The rows that other programs inserted, by UTC day, as a count and a hash that no order changes: two looks that agree saw the same rows, whatever was INSERTed, UPDATEd or
-- DELETEd in between. All columns that statistics or rollups may read are in the hash. The planner puts it in place, sees the range and reads one month's partial index.
-- What is put in place has no settings of its own: it is parsed when it is made (BEGIN ATOMIC), and names are said in full.

SET ROLE tallymill_admin;

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

REVOKE ALL ON FUNCTION tallymill.foreign_rows(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.foreign_rows(timestamptz, timestamptz) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
