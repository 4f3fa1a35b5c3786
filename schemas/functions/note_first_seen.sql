-- What is known of users in months that left has changed: whoever was seen before all days that are kept is counted anew (day 0001-01-01 of tallymill.changes; kept_keys says what it is).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.note_first_seen() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM tallymill.raise_versions(ARRAY[date '0001-01-01']);
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION tallymill.note_first_seen() FROM PUBLIC;

CREATE OR REPLACE TRIGGER note_first_seen AFTER INSERT OR UPDATE OR DELETE ON tallymill.first_seen FOR EACH STATEMENT EXECUTE FUNCTION tallymill.note_first_seen();
CREATE OR REPLACE TRIGGER note_first_seen AFTER INSERT OR UPDATE OR DELETE ON tallymill.first_seen_internal FOR EACH STATEMENT EXECUTE FUNCTION tallymill.note_first_seen();

RESET ROLE;
