-- Names of columns as a list for SQL, each with a prefix ('h.').

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.column_list(p_columns text[], p_prefix text DEFAULT '') RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT string_agg(p_prefix || quote_ident(c), ', ' ORDER BY n) FROM unnest(p_columns) WITH ORDINALITY AS u (c, n) $$;

REVOKE ALL ON FUNCTION tallymill.column_list(text[], text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.column_list(text[], text) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
