-- The hash of a row `e` of analytics_events, or of a table with its columns, as an expression: over all columns in the parent's order, whatever the order in a month that was made by hand.
-- Values as such where their type is one of these, else their text: an operator's own column may be of a type that has no hash.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.row_hash_expression() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT format('hash_record_extended(ROW(%s), 0)', string_agg(format(
            CASE WHEN a.atttypid IN ('uuid'::regtype, 'text'::regtype, 'varchar'::regtype, 'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype,
                                     'timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype, 'jsonb'::regtype) THEN 'e.%I' ELSE 'e.%I::text' END, a.attname), ', ' ORDER BY a.attnum))
          FROM pg_attribute a WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped);
END
$$;

REVOKE ALL ON FUNCTION tallymill.row_hash_expression() FROM PUBLIC;

RESET ROLE;
