-- Statements that make the indexes with created_at DESC ascending, month by month beside reads and writes. Ascending, new rows come to the end of the index: COPY was measured 8 to
-- 15 % cheaper, two of the indexes 40 to 45 % smaller; a B-tree is read backwards as fast. The plan's queries keep their plans.
WITH events AS (
  SELECT c.oid, c.relkind, a.attnum FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'created_at'
  WHERE c.oid = 'public.analytics_events'::regclass
), descending AS (
  SELECT i.indexrelid, x.relname AS name, e.oid AS parent, e.relkind, row_number() OVER (ORDER BY x.relname) AS place,
         regexp_replace(pg_get_indexdef(i.indexrelid), '\mcreated_at DESC( NULLS (FIRST|LAST))?', 'created_at') AS definition
  FROM events e JOIN pg_index i ON i.indrelid = e.oid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
  WHERE NOT i.indisunique AND i.indisvalid
    AND EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) AS k (n) WHERE i.indkey[k.n] = e.attnum AND i.indoption[k.n] & 1 = 1)
), named AS (
  SELECT d.*, left(d.name, 59) || '_asc' AS new_name FROM descending d
), leaves AS (
  SELECT n.*, c.relname AS leaf, regexp_replace(n.definition, '^.* USING ', ' USING ') AS keys,
         left(c.relname || '_' || regexp_replace(n.name, '^idx_analytics_events_', ''), 54) || '_' || lpad(to_hex(hashtext(c.relname || n.name)), 8, '0') AS leaf_name
  FROM named n JOIN pg_inherits i ON i.inhparent = n.parent AND NOT i.inhdetachpending JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
  WHERE n.relkind = 'p'
)
SELECT s.statement FROM (
  SELECT place, 1 AS step, '' AS leaf, 1 AS part,
         format('CREATE INDEX %s%I ON %spublic.analytics_events%s', CASE WHEN relkind = 'p' THEN '' ELSE 'CONCURRENTLY ' END, new_name, CASE WHEN relkind = 'p' THEN 'ONLY ' ELSE '' END,
                regexp_replace(definition, '^.* USING ', ' USING ')) AS statement
  FROM named
  UNION ALL
  SELECT place, 2, leaf, 1, format('CREATE INDEX CONCURRENTLY %I ON public.%I%s', leaf_name, leaf, keys) FROM leaves
  UNION ALL
  SELECT place, 2, leaf, 2, format('ALTER INDEX public.%I ATTACH PARTITION public.%I', new_name, leaf_name) FROM leaves
  UNION ALL
  SELECT place, 3, '', 1, 'SET lock_timeout = ''2s''' FROM named
  UNION ALL
  SELECT place, 3, '', 2, format('DROP INDEX %spublic.%I', CASE WHEN relkind = 'p' THEN '' ELSE 'CONCURRENTLY ' END, name) FROM named
  UNION ALL
  SELECT place, 3, '', 3, format('ALTER INDEX public.%I RENAME TO %I', new_name, name) FROM named
) s
ORDER BY s.place, s.step, s.leaf, s.part;
