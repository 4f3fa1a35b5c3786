-- What a table has on disk, its table partitions, indexes and TOAST included, in bytes: pg_total_relation_size() of a partitioned table alone says 0.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.table_size(p_table regclass) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce((SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(p_table) t), pg_total_relation_size(p_table))::bigint
$$;

REVOKE ALL ON FUNCTION tallymill.table_size(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.table_size(regclass) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
