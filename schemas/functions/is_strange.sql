-- Whether a month's table is another one than make_month makes.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.is_strange(p_leaf regclass, p_month date) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM pg_class c
    WHERE c.oid = p_leaf AND c.relnamespace = 'public'::regnamespace AND c.relname = 'analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM')
      AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) = 'tallymill_admin' AND has_table_privilege('tallymill_read', c.oid, 'SELECT'));
END
$$;

REVOKE ALL ON FUNCTION tallymill.is_strange(regclass, date) FROM PUBLIC;

RESET ROLE;
