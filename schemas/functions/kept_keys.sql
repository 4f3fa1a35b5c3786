-- How the keys of a day ('session' or 'user') change whose events are not to be read, in the form of unique_keys and in order of slots: a row without a key begins a part of the day; external
-- has the subjects that are taken of lists. A row with a key and no subject is to go (tallymill.key_removals). What is not named stays as it is.
-- Day 0001-01-01 stands for all days whose keys are not kept: the users who were seen on one of them, under subjects that are true of every event. They are those of the lists that are
-- dropped, and those whom tallymill.first_seen knows of days that have no list: so whoever was there before is not new, however long ago that was. Its parts are of about p_part_keys keys.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.kept_keys(p_kind text, p_day date, p_part_keys integer)
RETURNS TABLE (slot integer, key text, external bigint, internal bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  is_old constant boolean := p_day = date '0001-01-01';
  since constant bigint := coalesce((SELECT r.removal FROM tallymill.unique_runs r WHERE r.day = p_day), 0);
  subjects bigint := -1;
  parts integer[];
  bytes bigint;
BEGIN
  IF is_old THEN
    subjects := tallymill.whole_subjects();
    SELECT coalesce(sum(octet_length(k.keys)), 0) INTO bytes FROM tallymill.day_keys k WHERE k.kind = p_kind AND k.day < (SELECT s.kept_from FROM tallymill.unique_state s);
    bytes := bytes + 2 * ((SELECT count(*) FROM tallymill.first_seen) + (SELECT count(*) FROM tallymill.first_seen_internal));
    parts := ARRAY(SELECT (256 * n / p.count)::integer FROM (SELECT least(256, 1 + bytes / greatest(p_part_keys, 1)) AS count) p, generate_series(0, p.count - 1) AS n);
  ELSE
    parts := ARRAY(SELECT DISTINCT k.part FROM tallymill.day_keys k WHERE k.day = p_day AND k.kind = p_kind);
  END IF;
  RETURN QUERY
    WITH asked AS (
      SELECT k.users, k.sessions FROM tallymill.key_removals k WHERE k.month = date_trunc('month', p_day::timestamp)::date AND k.removal > since
    ), users AS (
      SELECT unnest(a.users) AS number, 0::bigint AS outside, 0::bigint AS inside FROM asked a WHERE p_kind = 'user'
      UNION ALL
      SELECT f.user_id, subjects, 0 FROM tallymill.first_seen f
      WHERE is_old AND p_kind = 'user' AND NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = (f.first_at AT TIME ZONE 'UTC')::date AND r.is_stored)
      UNION ALL
      SELECT f.user_id, 0, subjects FROM tallymill.first_seen_internal f
      WHERE is_old AND p_kind = 'user' AND NOT EXISTS (SELECT FROM tallymill.unique_runs r WHERE r.day = (f.first_at AT TIME ZONE 'UTC')::date AND r.is_stored)
    ), keys AS (
      SELECT (hashint8extended(u.number, 0) & 255)::integer AS slot, u.number::text AS key, bit_or(u.outside) AS external, bit_or(u.inside) AS internal FROM users u GROUP BY u.number
      UNION ALL
      SELECT DISTINCT (hashtextextended(g.session, 0) & 255)::integer, g.session, 0::bigint, 0::bigint FROM asked a, unnest(a.sessions) AS g (session) WHERE p_kind = 'session'
    )
    SELECT k.* FROM keys k
    UNION ALL
    SELECT DISTINCT n.part, NULL::text, subjects, 0::bigint FROM unnest(parts || 0) AS n (part)
    ORDER BY 1, 2 NULLS FIRST;
END
$$;

REVOKE ALL ON FUNCTION tallymill.kept_keys(text, date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.kept_keys(text, date, integer) TO tallymill_aggregate;

RESET ROLE;
