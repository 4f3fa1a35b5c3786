-- The figures of a rollup's periods that differ from its query; no row: they are equal. In psql:
--   SET tallymill.rollup = 'funnel'; SET tallymill.periods = '{2026-11-23,2026-11-24}';
SELECT d.first_day, d.row_key, d.column_name, d.have, d.should
FROM tallymill.rollups r
CROSS JOIN LATERAL tallymill.rollup_differences(r.rollup, current_setting('tallymill.periods')::date[]) AS d
WHERE r.rollup = current_setting('tallymill.rollup', true)
ORDER BY 1, 2, 3;
