-- How many events, by what ANALYZE saw and how much the tables have grown since, as the planner reckons; and their size. The parent of table partitions says -1 and 0.
WITH tables AS (
  SELECT c.relkind, c.reltuples, c.relpages, pg_relation_size(c.oid) AS heap_bytes, pg_total_relation_size(c.oid) AS bytes
  FROM (SELECT t.relid FROM pg_partition_tree('public.analytics_events'::regclass) t UNION SELECT 'public.analytics_events'::regclass) t (relid)
  JOIN pg_class c ON c.oid = t.relid
)
SELECT coalesce(sum(bytes), 0)::bigint AS bytes,
       coalesce(sum(round(reltuples::float8 / relpages * (heap_bytes / current_setting('block_size')::integer))) FILTER (WHERE reltuples > 0 AND relpages > 0), 0)::bigint AS events,
       coalesce(bool_or(relkind <> 'p' AND heap_bytes > 0 AND (reltuples <= 0 OR relpages <= 0)), false) AS is_unknown
FROM tables;
