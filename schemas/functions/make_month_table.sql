-- Makes the table of a month (its first day), not yet part of analytics_events; its name. It follows the parent, whatever was done to that: columns, defaults, constraints, indexes, storage,
-- statistics, access method, tablespace. Identities are left out: ATTACH gives them from 17 on (and refuses others), and before only the parent's counts.
-- Of a column's options the two that people set; newer servers (from 15.20 and 17.12 on) keep one of their own there.
-- Without indexes: to be filled first, and indexed by index_month_table.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.make_month_table(p_month date, p_with_indexes boolean) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET default_table_access_method = 'heap' SET default_tablespace = ''
AS $$
DECLARE
  parent constant regclass := 'public.analytics_events';
  table_name constant text := 'analytics_events_' || to_char(p_month::timestamp, 'YYYY_MM');
  place text;
  changes text;
BEGIN
  SELECT coalesce(' USING ' || quote_ident(a.amname), '') || coalesce(' TABLESPACE ' || quote_ident(t.spcname), '') INTO place
    FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.oid = parent;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.analytics_events INCLUDING ALL EXCLUDING IDENTITY %s,
                    CONSTRAINT %I CHECK (created_at >= %L::timestamptz AND created_at < %L::timestamptz))%s',
                 table_name, CASE WHEN NOT p_with_indexes THEN 'EXCLUDING INDEXES' END, table_name || '_month', p_month, (p_month + interval '1 month')::date, place);
  SELECT string_agg(concat_ws(', ',
           CASE WHEN a.attstattarget >= 0 THEN format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget) END,
           CASE WHEN o.options IS NOT NULL THEN format('ALTER COLUMN %I SET (%s)', a.attname, o.options) END), ', ')
    INTO changes
    FROM pg_attribute a,
         LATERAL (SELECT string_agg(x, ', ') AS options FROM unnest(a.attoptions) x WHERE split_part(x, '=', 1) IN ('n_distinct', 'n_distinct_inherited')) o
    WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND (a.attstattarget >= 0 OR o.options IS NOT NULL);
  IF changes IS NOT NULL THEN
    EXECUTE format('ALTER TABLE public.%I %s', table_name, changes);
  END IF;
  EXECUTE format('GRANT SELECT ON public.%I TO tallymill_read', table_name);
  RETURN format('public.%I', table_name);
END
$$;

REVOKE ALL ON FUNCTION tallymill.make_month_table(date, boolean) FROM PUBLIC;

RESET ROLE;
