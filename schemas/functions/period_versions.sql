-- Of which version the events of a rollup's periods are, from the one that begins on p_first to the one that begins on p_last.
-- A week's version is the sum of its days', one that looks back sums up all days before too: each only goes up, so equal sums are equal days.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.period_versions(p_period_days integer, p_looks_back boolean, p_first date, p_last date)
RETURNS TABLE (first_day date, version bigint)
LANGUAGE plpgsql STABLE ROWS 31 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
    SELECT s.first_day, s.version FROM (
      SELECT p.first_day, (CASE WHEN p_looks_back THEN sum(p.version) OVER (ORDER BY p.first_day) ELSE p.version END)::bigint AS version
      FROM (SELECT CASE WHEN p_period_days = 7 THEN date_trunc('week', d.day::timestamp)::date ELSE d.day END AS first_day,
                   sum(coalesce(c.version, 0))::bigint AS version
            FROM tallymill.days d LEFT JOIN tallymill.changes c ON c.day = d.day
            WHERE d.day BETWEEN CASE WHEN p_looks_back THEN '-infinity' ELSE p_first END AND p_last + p_period_days - 1
            GROUP BY 1) p) s
    WHERE s.first_day >= p_first ORDER BY s.first_day;
END
$$;

REVOKE ALL ON FUNCTION tallymill.period_versions(integer, boolean, date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.period_versions(integer, boolean, date, date) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
