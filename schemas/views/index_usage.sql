-- How often each index of analytics_events was used, all table partitions together, with the columns of pg_stat_user_indexes that the plan asks for: that view says nothing of a
-- partitioned table's own indexes. An index that only one table partition has stands by its own name.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.index_usage AS
  SELECT c.relname AS indexrelname, coalesce(sum(s.idx_scan), 0)::bigint AS idx_scan, coalesce(sum(s.idx_tup_read), 0)::bigint AS idx_tup_read,
         coalesce(sum(s.idx_tup_fetch), 0)::bigint AS idx_tup_fetch
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  CROSS JOIN LATERAL pg_partition_tree(i.indexrelid) t
  LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = t.relid
  WHERE i.indrelid = 'public.analytics_events'::regclass
  GROUP BY c.relname
  UNION ALL
  SELECT s.indexrelname, s.idx_scan, s.idx_tup_read, s.idx_tup_fetch
  FROM pg_inherits p
  JOIN pg_stat_all_indexes s ON s.relid = p.inhrelid
  WHERE p.inhparent = 'public.analytics_events'::regclass AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = s.indexrelid);

GRANT SELECT ON tallymill.index_usage TO tallymill_aggregate, tallymill_read;

RESET ROLE;
