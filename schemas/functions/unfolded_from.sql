-- The lowest id of the batches beyond `folded`, or the greatest bigint: whatever is below it is folded, which is all that the rows of a history need to be asked.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.unfolded_from() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT coalesce(min(b.id), 9223372036854775807) FROM tallymill.unfolded_batches() AS b (id));
END
$$;

REVOKE ALL ON FUNCTION tallymill.unfolded_from() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unfolded_from() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
