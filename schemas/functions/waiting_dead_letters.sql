-- The dead letters that wait for a month to come back, by month and topic, and those among them whose bytes are gone. The month is in what the worker wrote of each, which is
-- nobody's to read but an administrator's; how many there are is no secret.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.waiting_dead_letters() RETURNS TABLE (month date, topic text, waiting bigint, emptied bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD'
AS $$
BEGIN
  RETURN QUERY
    SELECT (w.label || '-01')::date, w.topic, count(*) FILTER (WHERE NOT w.is_empty), count(*) FILTER (WHERE w.is_empty)
    FROM (SELECT substring(d.detail FROM '^month ([0-9]{4}-(0[1-9]|1[0-2])) ') AS label, d.topic, d.emptied_at IS NOT NULL AS is_empty
          FROM tallymill.dead_letters d WHERE d.reason = 'archived_month' AND d.replayed_at IS NULL) w
    WHERE w.label IS NOT NULL GROUP BY 1, 2;
END
$$;

REVOKE ALL ON FUNCTION tallymill.waiting_dead_letters() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.waiting_dead_letters() TO tallymill_aggregate, tallymill_read;

RESET ROLE;
