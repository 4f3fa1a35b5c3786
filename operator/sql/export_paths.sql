-- The paths of all attributes that the chosen events have, each as a dotted path (a key that is not plain stands in quotes): what is no object, or an empty one, is a value. An array
-- is one value. Instead of "FROM public.analytics_events" the program puts which of them are chosen. The limit is one more than an export has columns.
SELECT f.path FROM (
  SELECT DISTINCT (SELECT pg_catalog.string_agg(CASE WHEN k.key ~ '^[^.,"]+$' THEN k.key ELSE '"' || pg_catalog.replace(k.key, '"', '""') || '"' END, '.' ORDER BY k.number)
                   FROM pg_catalog.unnest(p.keys) WITH ORDINALITY AS k (key, number)) AS path
  FROM (
    SELECT DISTINCT found.keys
    FROM (SELECT event_data FROM public.analytics_events) e
    CROSS JOIN LATERAL (
      WITH RECURSIVE inner_objects AS (
        SELECT ARRAY[o.key] AS keys, o.value FROM pg_catalog.jsonb_each(CASE pg_catalog.jsonb_typeof(e.event_data) WHEN 'object' THEN e.event_data ELSE '{}' END) o
        UNION ALL
        SELECT i.keys || o.key, o.value FROM inner_objects i CROSS JOIN LATERAL pg_catalog.jsonb_each(CASE pg_catalog.jsonb_typeof(i.value) WHEN 'object' THEN i.value ELSE '{}' END) o
      )
      SELECT i.keys FROM inner_objects i WHERE pg_catalog.jsonb_typeof(i.value) <> 'object' OR i.value = '{}'
    ) found
    LIMIT 1601
  ) p
) f
ORDER BY f.path COLLATE "C"
