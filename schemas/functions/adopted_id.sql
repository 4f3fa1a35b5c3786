-- The id of an event whose id was a number in the table that `tallymill adopt` took over: a UUIDv8 (RFC 9562) of SHA-256 over it, the same wherever it is asked.
-- Not UUIDv5: that is SHA-1, which SQL has not without an extension; nor md5(), which fails on a server in FIPS mode.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.adopted_id(p_id bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT encode(set_byte(set_byte(substring(h.hash FROM 1 FOR 16), 6, get_byte(h.hash, 6) & 15 | 128), 8, get_byte(h.hash, 8) & 63 | 128), 'hex')::uuid
  FROM (SELECT sha256(convert_to('tallymill.adopted_id ' || p_id, 'UTF8')) AS hash) AS h
$$;

REVOKE ALL ON FUNCTION tallymill.adopted_id(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.adopted_id(bigint) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
