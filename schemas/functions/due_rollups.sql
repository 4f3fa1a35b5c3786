-- What is due, as pieces of work: so many periods of one rollup that one query may compute, in a month (a year of weeks) and of about p_events events.
-- A day that waits for a rebuild is no rollup's yet. What looks back waits while a month is on its way out: its rows are nowhere then.
-- p_since: every period that is stale and was not run since then is due, whatever its cadence.
-- A query that failed is tried again after ten times what it took, ten minutes at least, or when its file has changed. Days are numbers since 1970.
-- Two rows more, without a rollup, where there is anything: in periods all that are due; in probe_us how long 10 ms of work take on this server now, which says how busy
-- it is. Sixteen short loops are timed: most of them hold a core from end to end, so the median says what one takes alone, and all of them what waiting for a core adds to that.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.due_rollups(p_newest_first boolean, p_since timestamptz, p_events bigint, p_limit integer)
RETURNS TABLE (rollup text, first_day integer, last_day integer, period_days integer, periods bigint, probe_us bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
  begun timestamptz := clock_timestamp();
  marks timestamptz[];
BEGIN
  RETURN QUERY
  WITH leaving AS MATERIALIZED (
    SELECT m.month FROM tallymill.months m WHERE m.state = 'detaching' EXCEPT SELECT a.month FROM tallymill.attached_months a
  ), stale AS MATERIALIZED (
    SELECT p.rollup, p.first_day, p.last_day, r.period_days, r.is_range, p.ran_at,
           (p.failed_at IS NULL OR p.failed_at < begun - greatest(interval '10 minutes', interval '10 us' * coalesce(p.took_us, 0))
              OR p.failed_definition <> p.definition)
           AND (p.ran_at IS NULL OR p.is_new OR p.closed_at > p.ran_at OR p.ran_at + p.cadence <= begun OR p.ran_at < p_since)
           AND (p_since IS NULL OR p.ran_at IS NULL OR p.ran_at < p_since OR p.is_new)
           AND (r.looks_back OR NOT p.is_dirty) AND NOT (r.looks_back AND EXISTS (SELECT FROM leaving l WHERE l.month <= p.last_day)) AS is_due
    FROM tallymill.rollup_periods p JOIN tallymill.rollups r ON r.rollup = p.rollup
    WHERE p.is_stale
  ), days AS MATERIALIZED (
    SELECT s.date, sum(s.event_count)::bigint AS events FROM public.analytics_daily_stats s
    WHERE EXISTS (SELECT FROM stale) GROUP BY s.date
  ), volume AS (
    SELECT 1 AS period_days, d.date AS first_day, d.events FROM days d
    UNION ALL SELECT 7, date_trunc('week', d.date::timestamp)::date, sum(d.events)::bigint FROM days d GROUP BY 2
  ), cut AS (
    SELECT s.*, date_trunc(CASE WHEN s.period_days = 7 THEN 'year' ELSE 'month' END, s.first_day::timestamp) AS grp,
           count(*) FILTER (WHERE NOT s.is_due) OVER before AS island, (coalesce(sum(v.events) OVER before, 0) / p_events)::bigint AS piece
    FROM stale s LEFT JOIN volume v ON v.period_days = s.period_days AND v.first_day = s.first_day
    WINDOW before AS (PARTITION BY s.rollup, date_trunc(CASE WHEN s.period_days = 7 THEN 'year' ELSE 'month' END, s.first_day::timestamp)
                      ORDER BY s.first_day)
  ), pieces AS (
    SELECT c.rollup, min(c.first_day) AS first_day, max(c.last_day) AS last_day, min(c.period_days) AS period_days, count(*) AS periods,
           min(coalesce(c.ran_at, '-infinity')) AS ran_at
    FROM cut c WHERE c.is_due
    GROUP BY c.rollup, c.grp, c.island, c.piece, CASE WHEN NOT c.is_range THEN c.first_day END
    ORDER BY CASE WHEN NOT p_newest_first THEN min(coalesce(c.ran_at, '-infinity')) END, max(c.last_day) DESC, c.rollup
    LIMIT p_limit
  )
  SELECT * FROM (
    SELECT q.rollup, q.first_day - date '1970-01-01', q.last_day - date '1970-01-01', q.period_days, q.periods, NULL::bigint FROM pieces q
    ORDER BY CASE WHEN NOT p_newest_first THEN q.ran_at END, q.last_day DESC, q.rollup) o
  UNION ALL SELECT NULL, NULL, NULL, NULL, (SELECT count(*) FROM stale t WHERE t.is_due), NULL WHERE EXISTS (SELECT FROM stale);
  IF FOUND THEN
    marks := ARRAY[clock_timestamp()];
    FOR i IN 1 .. 16 LOOP
      PERFORM count(*) FROM generate_series(1, 3000);
      marks := marks || clock_timestamp();
    END LOOP;
    RETURN QUERY
    SELECT NULL::text, NULL::integer, NULL::integer, NULL::integer, NULL::bigint,
           (10000 * extract(epoch FROM marks[17] - marks[1])
              / greatest(0.000001, 16 * percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM marks[i + 1] - marks[i]))))::bigint
    FROM generate_series(1, 16) AS i;
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.due_rollups(boolean, timestamptz, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.due_rollups(boolean, timestamptz, bigint, integer) TO tallymill_aggregate;

RESET ROLE;
