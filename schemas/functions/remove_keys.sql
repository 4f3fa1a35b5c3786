-- Has the aggregator take the keys of these users and sessions away from the days of months that left, and from those who were seen before all days that are kept; the matrix is corrected
-- as if they had never been there. (Days of months that are attached are counted anew from their events.) Returns how many days wait.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.remove_keys(p_users bigint[], p_sessions text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted constant date[] := ARRAY(
    SELECT DISTINCT date_trunc('month', r.day::timestamp)::date FROM tallymill.unique_runs r
    WHERE r.is_stored AND (r.day = date '0001-01-01' OR EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', r.day::timestamp)::date AND m.state = 'archived')));
  written bigint;
BEGIN
  INSERT INTO tallymill.key_removals (month, users, sessions) SELECT m, p_users, p_sessions FROM unnest(wanted) AS m;
  SELECT count(DISTINCT k.month) INTO written FROM tallymill.key_removals k WHERE k.users = p_users AND k.sessions = p_sessions AND k.month = ANY (wanted);
  IF written <> cardinality(wanted) THEN
    PERFORM tallymill.kept_out('tallymill.key_removals', cardinality(wanted), written);
  END IF;
  RETURN (SELECT count(*) FROM tallymill.unique_runs r WHERE r.is_stored AND date_trunc('month', r.day::timestamp)::date = ANY (wanted));
END
$$;

REVOKE ALL ON FUNCTION tallymill.remove_keys(bigint[], text[]) FROM PUBLIC;

RESET ROLE;
