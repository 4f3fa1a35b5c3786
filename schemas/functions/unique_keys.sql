-- The keys of a day ('session' or 'user'), each once, with the subjects that its external and its internal events belong to, as bits; in order of their slots, of which there are 256.
-- Over the events that analytics_daily_stats counts, and the internal ones beside them.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.unique_keys(p_kind text, p_day date)
RETURNS TABLE (slot integer, key text, external bigint, internal bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = off
AS $$
DECLARE
  subjects text;
  side constant text := 'SELECT %2$s AS key, %1$s AS external, %4$s AS internal FROM tallymill.%3$s WHERE %2$s IS NOT NULL';
  key_column constant text := CASE p_kind WHEN 'session' THEN 'session_id' ELSE 'user_id' END;
  hash constant text := CASE p_kind WHEN 'session' THEN 'hashtextextended(k.key::text, 0)' ELSE 'hashint8extended(k.key, 0)' END;
BEGIN
  SELECT coalesce(string_agg(format(E'CASE WHEN (%s\n) THEN %s ELSE 0 END', s.condition, 1::bigint << s.bit), ' | ' ORDER BY s.bit), '0') INTO subjects
    FROM tallymill.unique_subjects s WHERE s.retired_at IS NULL;
  subjects := format('(%s)::bigint', subjects);
  PERFORM set_config('tallymill.day', p_day::text, true);
  RETURN QUERY EXECUTE format('SELECT (%s & 255)::integer, k.key::text, bit_or(k.external), bit_or(k.internal) FROM (%s UNION ALL %s) k GROUP BY k.key ORDER BY 1',
    hash, format(side, subjects, key_column, 'day_events', '0::bigint'), format(side, '0::bigint', key_column, 'internal_day_events', subjects));
END
$$;

REVOKE ALL ON FUNCTION tallymill.unique_keys(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.unique_keys(text, date) TO tallymill_aggregate;

RESET ROLE;
