-- What is wrong with the table partitions: 'DAMAGE' where rows are stored that no month counts, with the statements that mend it; 'note' where a right or an index is missing.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_troubles() RETURNS TABLE (is_damage boolean, trouble text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT true, format('table %1$s (%2$s) is no month of analytics_events: rows in it are counted nowhere. These statements, as tallymill_admin or a superuser, move them: '
           'BEGIN; ALTER TABLE public.analytics_events DETACH PARTITION %1$s; '
           'SELECT tallymill.make_month(m) FROM (SELECT DISTINCT date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date FROM %1$s) AS months (m); '
           'INSERT INTO public.analytics_events (%3$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM %1$s; DROP TABLE %1$s; COMMIT;', t.leaf, t.bounds,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''))
  FROM tallymill.table_partitions() t WHERE t.month IS NULL
  UNION ALL
  SELECT false, format('table %1$s of owner %2$s is counted, but tallymill_read may not read it by its own name: GRANT SELECT ON %1$s TO tallymill_read;', t.leaf, t.owner)
  FROM tallymill.table_partitions() t WHERE t.month IS NOT NULL AND NOT has_table_privilege('tallymill_read', t.leaf, 'SELECT')
  UNION ALL
  SELECT false, format('table %s has no index like %s: %s;', t.leaf, p.indexrelid::regclass,
           regexp_replace(pg_get_indexdef(p.indexrelid), ' INDEX .* ON (ONLY )?[^ ]+ USING ', format(' INDEX ON %s USING ', t.leaf)))
  FROM tallymill.table_partitions() t
  JOIN pg_index p ON p.indrelid = 'public.analytics_events'::regclass AND NOT p.indisprimary
  WHERE t.month IS NOT NULL AND t.kind = 'r' AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid AND i.inhparent = p.indexrelid WHERE x.indrelid = t.leaf AND x.indisvalid)
$$;

REVOKE ALL ON FUNCTION tallymill.month_troubles() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.month_troubles() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
