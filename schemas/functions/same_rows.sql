-- Which of these rows of a batch stand as they were sent, by their numbers in the arrays: the worker asks where somebody's trigger fires on INSERT (has_insert_trigger). Who stores events may not
-- read batch_id, nor anything else of them but the key.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.same_rows(p_ids uuid[], p_times timestamptz[], p_batch_ids bigint[]) RETURNS TABLE (number bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off
AS $$
BEGIN
  RETURN QUERY
    SELECT k.number FROM unnest(p_ids, p_times, p_batch_ids) WITH ORDINALITY AS k (id, created_at, batch_id, number)
    CROSS JOIN LATERAL (SELECT FROM public.analytics_events e WHERE e.id = k.id AND e.created_at = k.created_at AND e.batch_id = k.batch_id LIMIT 1) AS found;
END
$$;

REVOKE ALL ON FUNCTION tallymill.same_rows(uuid[], timestamptz[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.same_rows(uuid[], timestamptz[], bigint[]) TO tallymill_ingest;

RESET ROLE;
