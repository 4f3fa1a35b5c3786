-- Months that are away and hold a part of a week, behind that of $1, of which events were erased, or in which somebody was who was first seen in such an event (erase_first_seen.sql), and which a
-- rollup by weeks still counts as it was: to be computed, a week needs both of its months. A row for each, by week. is_kept: it can come back. What looks back without knowing tallymill.first_seen is of the events that are kept, and waits for nobody.
WITH noted AS (
  SELECT n.week::date AS week, max(coalesce(e.finished_at, 'infinity')) AS ended_at
  FROM tallymill.erasures e CROSS JOIN LATERAL jsonb_object_keys(coalesce(e.counts -> 'weeks', '{}')) AS n (week) GROUP BY 1
), owed AS (
  SELECT DISTINCT n.week FROM noted n
  JOIN tallymill.rollups r ON r.period_days = 7 AND r.retired_at IS NULL AND NOT (r.looks_back AND strpos(r.query, 'tallymill.first_seen') = 0)
  JOIN tallymill.rollup_runs t ON t.rollup = r.rollup AND t.first_day = n.week
  CROSS JOIN LATERAL tallymill.period_versions(7, r.looks_back, n.week, n.week) v
  WHERE t.version IS DISTINCT FROM v.version AND (t.ran_at IS NULL OR t.ran_at < n.ended_at)
)
SELECT o.week::text AS week, to_char(m.month, 'YYYY-MM') AS month,
       EXISTS (SELECT FROM tallymill.archives a WHERE a.month = m.month AND a.state = 'dropped' AND a.target <> 'none') AS is_kept
FROM owed o
JOIN tallymill.months m ON m.month IN (date_trunc('month', o.week::timestamp)::date, date_trunc('month', (o.week + 6)::timestamp)::date)
WHERE m.state = 'archived' AND o.week > $1::date ORDER BY o.week, m.month
