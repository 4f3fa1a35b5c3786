-- A month that was detached is dropped, with its books, in one transaction: the rows that it holds are entered as removed, its archive is the one that counts, its state is archived.
-- That its rows are those which were written out needs no look at their values where the caller knows the snapshot that they were written of, and the table is what it was then: every row of an older
-- transaction was in that snapshot, and as many of them as then are all. p_since: the snapshot's xmin; p_identity: what month_identity said then. Else, or where a column is not as it was,
-- their hash is taken: the rows are in no query for as long as that takes.
-- TM006: it is not what was written out: something came in between, which is in no archive. Then nothing was done, and the month has to be attached again.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.drop_month(p_month date, p_generation integer, p_since xid8, p_identity text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
  label constant text := to_char(p_month::timestamp, 'YYYY-MM');
  leaf regclass;
  held tallymill.archives;
  since xid8;
  left_rows record;
  is_same boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('tallymill.make_month', 0));
  leaf := tallymill.month_table(p_month);
  SELECT * INTO held FROM tallymill.archives a WHERE a.month = p_month AND a.generation = p_generation AND (a.state = 'proven' OR a.target = 'none');
  IF held.month IS NULL OR leaf IS NULL OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = leaf)
     OR NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = p_month AND m.state = 'detaching') THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('month %s is not detached, or has no proven archive %s', label, p_generation);
  END IF;
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', leaf);
  IF EXISTS (SELECT FROM tallymill.days d WHERE d.dirty_since IS NOT NULL AND d.day >= p_month AND d.day < p_month + interval '1 month') THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('the statistics of month %s wait for something that came in between', label);
  END IF;
  IF p_identity = tallymill.month_identity(leaf) AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - p_since::text::numeric BETWEEN 0 AND 2147483647 THEN
    since := p_since;
  END IF;
  SELECT * INTO left_rows FROM tallymill.enter_removals(p_month, leaf, 'archived', since);
  is_same := (left_rows.rows, left_rows.foreign_rows) IS NOT DISTINCT FROM (held.rows, held.foreign_rows);
  IF is_same AND (since IS NULL OR left_rows.newer_rows > 0 OR EXISTS (
       SELECT FROM pg_attribute a WHERE a.attrelid = 'public.analytics_events'::regclass AND age(a.xmin) BETWEEN least(age(pg_snapshot_xmax(pg_current_snapshot())::xid), 0) AND age(since::xid))) THEN
    SELECT h.hash IS NOT DISTINCT FROM held.server_hash INTO is_same FROM tallymill.month_sums(leaf) h;
  END IF;
  IF NOT is_same THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('month %s has %s rows, and had %s when it was written out, or they were changed in between', label, left_rows.rows, held.rows);
  END IF;
  -- A rollup that looks back and does not know first_seen is of the events that are kept.
  UPDATE tallymill.rollup_runs t SET version = NULL FROM tallymill.rollups r
    WHERE r.rollup = t.rollup AND r.looks_back AND strpos(r.query, 'tallymill.first_seen') = 0 AND t.first_day >= p_month;
  UPDATE tallymill.archives a SET state = 'superseded' WHERE a.month = p_month AND a.generation <> p_generation AND a.state <> 'superseded';
  UPDATE tallymill.archives a SET state = 'dropped', dropped_at = clock_timestamp(), restored_at = NULL WHERE a.month = p_month AND a.generation = p_generation;
  UPDATE tallymill.months m SET state = 'archived', changed_at = clock_timestamp(), leaf = NULL, noted_leaf = NULL, noted_xmin = NULL, noted_ctid = NULL WHERE m.month = p_month;
  IF NOT EXISTS (SELECT FROM tallymill.months m JOIN tallymill.archives a USING (month)
                 WHERE m.month = p_month AND m.state = 'archived' AND a.generation = p_generation AND a.state = 'dropped') THEN
    PERFORM tallymill.kept_out('tallymill.months', 1, 0);
  END IF;
  EXECUTE format('DROP TABLE %s', leaf);
END
$$;

REVOKE ALL ON FUNCTION tallymill.drop_month(date, integer, xid8, text) FROM PUBLIC;

RESET ROLE;
