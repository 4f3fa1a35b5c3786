-- The UTC days from p_first to p_last that have external events, month by month: by leaps through the index of external events, one look for each day
-- rather than one for each row. Months by what the books say of them, since the bounds of a table partition are only told to who can lock it.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.event_days(p_first date, p_last date) RETURNS SETOF date
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  leaf record;
BEGIN
  FOR leaf IN
    SELECT NULL::regclass AS name, a.month FROM tallymill.attached_months a
      WHERE a.month <= p_last AND (a.month + interval '1 month')::date > p_first
    UNION ALL
    SELECT c.oid::regclass, NULL FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending AND has_table_privilege(c.oid, 'SELECT')
        AND NOT EXISTS (SELECT FROM tallymill.month_leaves m WHERE m.leaf = c.oid)
  LOOP
    -- Through the parent, on which the reader has its rights; the month's limits are constants, so that no other month is looked at.
    RETURN QUERY EXECUTE format($q$
      WITH RECURSIVE found AS (
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L) AS at
        UNION ALL
        SELECT (SELECT min(e.created_at) FROM %1$s e WHERE e.is_internal = FALSE AND e.created_at >= %2$L AND e.created_at < %3$L
                  AND e.created_at >= date_trunc('day', f.at) + interval '1 day')
        FROM found f WHERE f.at IS NOT NULL
      )
      SELECT at::date FROM found WHERE at IS NOT NULL$q$,
      CASE WHEN leaf.month IS NULL THEN leaf.name::text ELSE 'public.analytics_events' END,
      greatest(leaf.month, p_first)::timestamptz, least((leaf.month + interval '1 month')::date, p_last + 1)::timestamptz);
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION tallymill.event_days(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.event_days(date, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
