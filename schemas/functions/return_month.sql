-- A month comes back: its table, filled and indexed, becomes part of analytics_events, and the books say that its rows are there again. To be called in the transaction that filled it.
-- TM006: the month is not archived by this generation, or the table holds another number of rows.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.return_month(p_month date, p_generation integer, p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  label constant text := to_char(p_month::timestamp, 'YYYY-MM');
  held tallymill.archives;
  back record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  SELECT a.* INTO held FROM tallymill.archives a JOIN tallymill.months m USING (month)
    WHERE a.month = p_month AND a.generation = p_generation AND a.state = 'dropped' AND m.state = 'archived';
  IF held.month IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('month %s is not archived by generation %s', label, p_generation);
  END IF;
  SELECT * INTO back FROM tallymill.enter_removals(p_month, p_table, 'restored', NULL);
  IF (back.rows, back.foreign_rows) IS DISTINCT FROM (held.rows, held.foreign_rows) THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('%s rows of month %s came back, and %s had left', back.rows, label, held.rows);
  END IF;
  EXECUTE format('ALTER TABLE public.analytics_events ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', p_table, p_month::timestamptz,
                 (p_month + interval '1 month')::date::timestamptz);
  UPDATE tallymill.rollup_runs t SET version = NULL FROM tallymill.rollups r
    WHERE r.rollup = t.rollup AND r.looks_back AND strpos(r.query, 'tallymill.first_seen') = 0 AND t.first_day >= p_month;
  -- Where keys went meanwhile, or were still to go, the rows say who was there.
  PERFORM tallymill.raise_versions(ARRAY(SELECT r.day FROM tallymill.unique_runs r WHERE r.is_stored AND r.day >= p_month AND r.day < p_month + interval '1 month'
                                           AND (r.removal > 0 OR EXISTS (SELECT FROM tallymill.key_removals k WHERE k.month = p_month))));
  DELETE FROM tallymill.key_removals k WHERE k.month = p_month;
  UPDATE tallymill.archives a SET restored_at = clock_timestamp(),
      server_hash = CASE WHEN a.server_hash IS NULL THEN (SELECT h.hash FROM tallymill.month_sums(p_table) h) ELSE a.server_hash END
    WHERE a.month = p_month AND a.generation = p_generation;
  UPDATE tallymill.months m SET state = 'restored', changed_at = clock_timestamp() WHERE m.month = p_month;
  IF NOT EXISTS (SELECT FROM tallymill.months m JOIN tallymill.archives a USING (month)
                 WHERE m.month = p_month AND m.state = 'restored' AND a.generation = p_generation AND a.restored_at IS NOT NULL) THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.return_month(date, integer, regclass) FROM PUBLIC;

RESET ROLE;
