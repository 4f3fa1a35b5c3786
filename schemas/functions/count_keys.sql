-- The distinct keys of a subject over a range of days, counted from the events themselves, in one pass over them: what a sum over analytics_daily_uniques is to be.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.count_keys(p_subject text, p_kind text, p_population text, p_first date, p_last date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  held text;
  counted bigint;
  key_column constant text := CASE p_kind WHEN 'session' THEN 'session_id' ELSE 'user_id' END;
  side constant text := E'SELECT %1$s AS key FROM tallymill.%2$s WHERE %1$s IS NOT NULL AND (%3$s\n)';
BEGIN
  SELECT s.condition INTO STRICT held FROM tallymill.unique_subjects s WHERE s.subject = p_subject;
  PERFORM set_config('tallymill.first_day', p_first::text, true), set_config('tallymill.last_day', p_last::text, true);
  EXECUTE format('SELECT count(DISTINCT k.key) FROM (%s) k',
                 concat_ws(' UNION ALL ', CASE WHEN p_population <> 'internal' THEN format(side, key_column, 'range_events', held) END,
                           CASE WHEN p_population <> 'external' THEN format(side, key_column, 'internal_range_events', held) END)) INTO counted;
  RETURN counted;
END
$$;

REVOKE ALL ON FUNCTION tallymill.count_keys(text, text, text, date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.count_keys(text, text, text, date, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
