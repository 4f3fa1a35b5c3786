-- The months' tables without a part of idx_analytics_events_internal: the index that is to be one, whether it is there and whole, and the statements that make it so.
SELECT c.oid::regclass::text AS leaf, x.indexrelid IS NOT NULL AND NOT x.indisvalid AS is_half_built, x.indisvalid IS TRUE AS is_built,
       format('DROP INDEX CONCURRENTLY public.%I', n.name) AS drop_statement,
       format('CREATE INDEX CONCURRENTLY IF NOT EXISTS %I ON %s (created_at) WHERE is_internal', n.name, format('%I.%I', s.nspname, c.relname)) AS create_statement,
       format('ALTER INDEX public.idx_analytics_events_internal ATTACH PARTITION %I.%I', s.nspname, n.name) AS attach_statement
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
JOIN pg_namespace s ON s.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT left(c.relname, 50) || '_internal' AS name) n
LEFT JOIN pg_class o ON o.relnamespace = c.relnamespace AND o.relname = n.name AND o.relkind = 'i'
LEFT JOIN pg_index x ON x.indexrelid = o.oid AND x.indrelid = c.oid
WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
  AND NOT EXISTS (SELECT FROM pg_index h JOIN pg_inherits p ON p.inhrelid = h.indexrelid
                  WHERE h.indrelid = c.oid AND p.inhparent = to_regclass('public.idx_analytics_events_internal'))
ORDER BY c.relname DESC;
