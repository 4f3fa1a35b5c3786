-- The bits of the subjects that are true of every event, retired ones too: to have been there at all is to have been there under them.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.whole_subjects() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(bit_or(1::bigint << s.bit), 0) FROM tallymill.unique_subjects s WHERE lower(btrim(s.condition, E' \t\n')) = 'true'
$$;

REVOKE ALL ON FUNCTION tallymill.whole_subjects() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.whole_subjects() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
