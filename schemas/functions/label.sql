-- An attribute as a label: whatever an application sent, no cast fails. At most 100 characters, so that it fits an index; '(none)' where there is none.
-- What the planner puts in place of a call has no settings of its own (with them it was 6 times slower): it is parsed when it is made, and names are said in full.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.label(p_value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(pg_catalog.left(p_value OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[], 100), '(none)');

RESET ROLE;
