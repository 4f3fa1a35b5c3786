-- Everything that is known of uniques goes, and all days of attached months are counted anew, as if they came for the first time. Archived months are then missing in ranges:
-- their keys are nowhere else; that their users were there is known (tallymill.first_seen).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.forget_uniques() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE tallymill.unique_state SET run = run + 1, stored_run = run + 1; -- first: a run under way gets 40001
  DELETE FROM tallymill.day_keys;
  DELETE FROM tallymill.unique_runs;
  DELETE FROM public.analytics_daily_uniques;
  DELETE FROM tallymill.key_removals;
END
$$;

REVOKE ALL ON FUNCTION tallymill.forget_uniques() FROM PUBLIC;

RESET ROLE;
