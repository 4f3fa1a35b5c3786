-- What is wrong with the table partitions: 'DAMAGE' where rows are stored that no month counts, with the statements that mend it; 'note' where a right or an index is missing.
-- The statements move one month after the other, and none of which a row would be lost (a trigger that answers NULL keeps it out of the month). Rows of a month that is archived, or
-- that no month can be made for, stay in the table, and a warning says so.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_troubles() RETURNS TABLE (is_damage boolean, trouble text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  WITH parts AS (
    SELECT t.leaf, t.owner, t.kind, t.month, t.bounds, m.state = 'archived' AS is_archived, to_char(t.month::timestamp, 'YYYY-MM') AS label,
           -- The month comes back under its own name.
           CASE WHEN c.relnamespace = 'public'::regnamespace AND c.relname = 'analytics_events_' || to_char(t.month::timestamp, 'YYYY_MM') THEN c.relname || '_by_hand' END AS new_name
    FROM tallymill.table_partitions() t
    JOIN pg_class c ON c.oid = t.leaf
    LEFT JOIN tallymill.months m ON m.month = t.month
  ), columns AS (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS list FROM pg_attribute a
    WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  ), moves AS (
    SELECT p.*, format('DO $move$ DECLARE m date; taken bigint; BEGIN '
             'FOR m IN SELECT DISTINCT date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date FROM %1$s LOOP '
             'BEGIN PERFORM tallymill.make_month(m); EXCEPTION WHEN SQLSTATE ''TM004'' OR SQLSTATE ''TM005'' THEN '
             'RAISE WARNING ''rows of %% stay in table %%: %%. Once the month is back (tallymill restore), run this DO again'', m, %2$L, SQLERRM; CONTINUE; END; '
             'INSERT INTO public.analytics_events (%3$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM %1$s WHERE date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date = m; '
             'GET DIAGNOSTICS taken = ROW_COUNT; '
             'IF taken <> (SELECT count(*) FROM %1$s WHERE date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date = m) THEN '
             'RAISE EXCEPTION ''only %% rows of %% got into analytics_events: a trigger or a rule keeps the others out'', taken, m; END IF; '
             'PERFORM tallymill.mark_days(array_agg(d), array_fill(''rows were moved into its month''::text, ARRAY[count(*)::integer])) '
             'FROM (SELECT DISTINCT (created_at AT TIME ZONE ''UTC'')::date FROM %1$s WHERE date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date = m) AS days (d); '
             'DELETE FROM %1$s WHERE date_trunc(''month'', created_at AT TIME ZONE ''UTC'')::date = m; END LOOP; '
             'IF NOT EXISTS (SELECT FROM %1$s) THEN DROP TABLE %1$s; END IF; END $move$;',
             coalesce('public.' || quote_ident(p.new_name), p.leaf::text), coalesce(p.new_name, p.leaf::text), c.list) AS move
    FROM parts p, columns c WHERE p.month IS NULL OR p.is_archived
  )
  SELECT true, format('table %1$s (%2$s) is no month of analytics_events: rows in it are counted nowhere. These statements, as tallymill_admin or a superuser, move them: '
           'BEGIN; ALTER TABLE public.analytics_events DETACH PARTITION %1$s; %3$s COMMIT;', v.leaf, v.bounds, v.move)
  FROM moves v WHERE v.month IS NULL
  UNION ALL
  SELECT true, format('table %1$s was made for month %2$s, which is archived: rows in it are counted nowhere. As tallymill_admin or a superuser: '
           'ALTER TABLE public.analytics_events DETACH PARTITION %1$s;%3$s then: tallymill restore %2$s; then: BEGIN; %4$s COMMIT;',
           v.leaf, v.label, CASE WHEN v.new_name IS NOT NULL THEN format(' ALTER TABLE %s RENAME TO %I;', v.leaf, v.new_name) ELSE '' END, v.move)
  FROM moves v WHERE v.is_archived
  UNION ALL
  SELECT false, format('table %1$s of owner %2$s is counted, but tallymill_read may not read it by its own name: GRANT SELECT ON %1$s TO tallymill_read;', t.leaf, t.owner)
  FROM parts t WHERE t.month IS NOT NULL AND t.is_archived IS NOT TRUE AND NOT has_table_privilege('tallymill_read', t.leaf, 'SELECT')
  UNION ALL
  SELECT false, format('table %s has no index like %s: %s;', t.leaf, p.indexrelid::regclass,
           regexp_replace(pg_get_indexdef(p.indexrelid), ' INDEX .* ON (ONLY )?[^ ]+ USING ', format(' INDEX ON %s USING ', t.leaf)))
  FROM parts t
  JOIN pg_index p ON p.indrelid = 'public.analytics_events'::regclass AND NOT p.indisprimary
  WHERE t.month IS NOT NULL AND t.kind = 'r' AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid AND i.inhparent = p.indexrelid WHERE x.indrelid = t.leaf AND x.indisvalid)
$$;

REVOKE ALL ON FUNCTION tallymill.month_troubles() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.month_troubles() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
