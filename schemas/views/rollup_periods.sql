-- Each rollup's periods (days, or weeks that begin on Monday) of attached months, with what is known of them. is_stale: its rows are not of this version of its events.
-- A week's version is the sum of its days', a rollup that looks back sums up all days before too: each only goes up, so equal sums are equal days.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.rollup_periods AS
WITH known AS (
  SELECT d.day, coalesce(c.version, 0) AS version, d.closed_at, d.dirty_since IS NOT NULL AS is_dirty, m.month IS NOT NULL AS is_attached
  FROM tallymill.days d
  LEFT JOIN tallymill.changes c ON c.day = d.day
  LEFT JOIN tallymill.months m ON m.month = date_trunc('month', d.day::timestamp)::date
    AND (m.state IN ('open', 'restored') OR (m.state = 'detaching' AND m.month IN (SELECT a.month FROM tallymill.attached_months a)))
), periods AS (
  SELECT 1 AS period_days, day AS first_day, version, closed_at, is_dirty, is_attached FROM known
  UNION ALL
  SELECT 7, date_trunc('week', day::timestamp)::date, sum(version), max(closed_at), bool_or(is_dirty), bool_and(is_attached)
  FROM known GROUP BY 2
), summed AS (
  SELECT p.period_days, p.first_day, p.closed_at, p.is_attached, p.version::bigint AS version, p.is_dirty,
         sum(p.version) OVER before AS version_before, bool_or(p.is_dirty) OVER before AS is_dirty_before
  FROM periods p WINDOW before AS (PARTITION BY p.period_days ORDER BY p.first_day)
)
SELECT r.rollup, r.target, s.first_day, s.first_day + r.period_days - 1 AS last_day, s.closed_at,
       CASE WHEN r.looks_back THEN s.version_before::bigint ELSE s.version END AS version,
       CASE WHEN r.looks_back THEN s.is_dirty_before ELSE s.is_dirty END AS is_dirty,
       r.definition, r.cadence, t.ran_at, t.took_us, t.error, t.failed_at, t.failed_definition,
       t.definition IS DISTINCT FROM r.definition
         OR t.version IS DISTINCT FROM CASE WHEN r.looks_back THEN s.version_before::bigint ELSE s.version END AS is_stale,
       t.definition IS DISTINCT FROM r.definition AS is_new
FROM tallymill.rollups r
JOIN summed s ON s.period_days = r.period_days AND s.is_attached
LEFT JOIN tallymill.rollup_runs t ON t.rollup = r.rollup AND t.first_day = s.first_day
WHERE r.retired_at IS NULL;

GRANT SELECT ON tallymill.rollup_periods TO tallymill_aggregate, tallymill_read;

RESET ROLE;
