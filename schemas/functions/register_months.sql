-- Takes note of months that were made by hand; their names.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.register_months() RETURNS TABLE (month date, leaf text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM tallymill.changed_months()) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  RETURN QUERY
    WITH noted AS (
      INSERT INTO tallymill.months AS m (month, state, leaf, noted_leaf, noted_xmin, noted_ctid)
      SELECT t.month, 'open', t.strange, t.leaf, t.seen_xmin, t.seen_ctid FROM tallymill.changed_months() t
      ON CONFLICT (month) DO UPDATE SET leaf = excluded.leaf, noted_leaf = excluded.noted_leaf, noted_xmin = excluded.noted_xmin, noted_ctid = excluded.noted_ctid
        WHERE m.state IN ('open', 'restored')
      RETURNING m.month, m.leaf
    )
    SELECT n.month, coalesce(n.leaf::text, 'public.analytics_events_' || to_char(n.month, 'YYYY_MM'))
    FROM noted n LEFT JOIN tallymill.months b ON b.month = n.month -- as before this statement
    WHERE b.month IS NULL OR b.leaf IS DISTINCT FROM n.leaf;
END
$$;

REVOKE ALL ON FUNCTION tallymill.register_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.register_months() TO tallymill_aggregate;

RESET ROLE;
