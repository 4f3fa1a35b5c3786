-- Enters what a month's table holds into tallymill.removals, a row for each interval of the ledger, so that rows can still be counted against it batch by batch: 'archived' before it is
-- dropped, 'restored' when it is back. In the same pass they are counted, for the caller to compare, and so are those of transactions from p_since on (NULL: none are).
-- A row's xmin stands in it, frozen or not, until another version takes its place. It has 32 bits: a row of ages ago that looks as if it were new is counted as one; none of the new is missed, as
-- long as there were fewer than 2^31 transactions.
-- topic: '' where the interval holds batches of several. TM006: rows belong to no batch of the ledger.

SET ROLE tallymill_admin;

DROP FUNCTION IF EXISTS tallymill.enter_removals(date, regclass, text);    -- of before, which functions alone called

CREATE OR REPLACE FUNCTION tallymill.enter_removals(p_month date, p_table regclass, p_reason text, p_since xid8) RETURNS TABLE (rows bigint, foreign_rows bigint, newer_rows bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off
AS $$
DECLARE
  entered numeric;
  standing numeric;
  is_newer text := 'false';
BEGIN
  IF p_since IS NOT NULL THEN    -- from there to now, where age() is 0 or, of what came behind this transaction's own beginning, less
    is_newer := format('age(e.xmin) BETWEEN least(age(%L::xid), 0) AND age(%L::xid)', pg_snapshot_xmax(pg_current_snapshot())::xid, p_since::xid);
  END IF;
  SELECT coalesce(sum(r.rows), 0) INTO standing FROM tallymill.removals r WHERE r.month = p_month AND r.reason = p_reason;
  EXECUTE format($q$
    WITH counted AS MATERIALIZED (
      SELECT e.batch_id, count(*) AS rows, count(*) FILTER (WHERE %1$s) AS newer FROM %2$s e GROUP BY e.batch_id
    ), placed AS (
      SELECT i.batch_id, i.last_batch_id, sum(c.rows) AS rows
      FROM counted c
      CROSS JOIN LATERAL (
        SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b WHERE b.batch_id = c.batch_id AND b.batch_id = b.last_batch_id
        UNION ALL
        SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b WHERE b.batch_id < b.last_batch_id AND b.last_batch_id >= c.batch_id AND b.batch_id <= c.batch_id
        ORDER BY 2 LIMIT 1) i
      GROUP BY i.batch_id, i.last_batch_id
    ), written AS (
      INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
      SELECT %3$L, (SELECT CASE WHEN count(DISTINCT b.topic) = 1 THEN min(b.topic) ELSE '' END FROM tallymill.batches b
                    WHERE b.batch_id = p.batch_id AND b.last_batch_id = p.last_batch_id), p.batch_id, p.last_batch_id, p.rows, %4$L
      FROM placed p RETURNING rows
    )
    SELECT coalesce(sum(c.rows), 0)::bigint, coalesce(sum(c.rows) FILTER (WHERE c.batch_id IS NULL), 0)::bigint, coalesce(sum(c.newer), 0)::bigint, (SELECT coalesce(sum(w.rows), 0) FROM written w)
    FROM counted c$q$, is_newer, p_table, p_month, p_reason)
    INTO rows, foreign_rows, newer_rows, entered;
  IF entered <> rows - foreign_rows THEN
    RAISE EXCEPTION USING ERRCODE = 'TM006', MESSAGE = format('%s rows of month %s belong to no batch of the ledger: tallymill audit names them', rows - foreign_rows - entered,
                                                              to_char(p_month::timestamp, 'YYYY-MM'));
  END IF;
  SELECT coalesce(sum(r.rows), 0) - standing INTO standing FROM tallymill.removals r WHERE r.month = p_month AND r.reason = p_reason;
  IF standing <> entered THEN
    PERFORM tallymill.kept_out('tallymill.removals', entered::bigint, standing::bigint);
  END IF;
  RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION tallymill.enter_removals(date, regclass, text, xid8) FROM PUBLIC;

RESET ROLE;
