-- A table's rows as numbers that no order changes: how many, how many of other programs, and the sum of their hashes. Two that agree hold the same rows. To be compared on one server only:
-- the hash may be another in the next release of Postgres.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_sums(p_table regclass) RETURNS TABLE (rows bigint, foreign_rows bigint, hash numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT count(*), count(*) FILTER (WHERE e.batch_id IS NULL), coalesce(sum(%s), 0) FROM %s e', tallymill.row_hash_expression(), p_table);
END
$$;

REVOKE ALL ON FUNCTION tallymill.month_sums(regclass) FROM PUBLIC;

RESET ROLE;
