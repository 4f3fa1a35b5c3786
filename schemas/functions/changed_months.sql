-- The tables of months that are not as they were noted; strange: NULL, or the table where it is another one than make_month makes.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.changed_months() RETURNS TABLE (month date, strange regclass, leaf oid, seen_xmin xid, seen_ctid tid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT d.month, CASE WHEN tallymill.is_strange(d.oid::regclass, d.month) THEN d.oid::regclass END, d.oid, d.xmin, d.ctid
  FROM (SELECT tallymill.partition_month(c.oid) AS month, c.oid, c.xmin, c.ctid
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
          AND NOT EXISTS (SELECT FROM tallymill.months k WHERE k.noted_leaf = c.oid AND k.noted_xmin = c.xmin AND k.noted_ctid = c.ctid AND k.state IN ('open', 'restored'))
        OFFSET 0) d
  WHERE d.month IS NOT NULL AND NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = d.month AND m.state NOT IN ('open', 'restored'));
END
$$;

REVOKE ALL ON FUNCTION tallymill.changed_months() FROM PUBLIC;

RESET ROLE;
