-- Brings the batch index of a month up to its last page, from page p_page on; the number of pages it has seen, to be given next time.
-- NULL: not now, a vacuum of that month is at work. The wait is far shorter than deadlock_timeout, or asking twice a second would cancel every autovacuum.
-- Page ranges that are summarised stay so, inserts keep them; a walk over all of them (brin_summarize_new_values) takes 0.5 us each.
-- An index that is another owner's is left as it is.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.summarize_tail(p_month date, p_page bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms'
AS $$
DECLARE
  held constant regclass := tallymill.month_table(p_month);
  pages bigint := tallymill.month_pages(p_month);
  pages_per_range constant bigint := 32; -- as idx_analytics_events_batch has it
  batch_index regclass;
BEGIN
  SELECT i.indexrelid INTO batch_index
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE i.indrelid = held AND a.amname = 'brin' AND c.relkind = 'i' AND pg_has_role(c.relowner, 'USAGE')
  LIMIT 1;
  IF batch_index IS NULL THEN
    RETURN NULL;
  ELSIF p_page IS NULL OR p_page > pages THEN
    PERFORM brin_summarize_new_values(batch_index);
  ELSE
    FOR page IN (p_page - p_page % pages_per_range) .. (pages - 1) BY pages_per_range LOOP
      PERFORM brin_summarize_range(batch_index, page);
    END LOOP;
  END IF;
  RETURN pages;
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION tallymill.summarize_tail(date, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.summarize_tail(date, bigint) TO tallymill_aggregate;

RESET ROLE;
