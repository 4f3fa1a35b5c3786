-- The figures of a rollup's period that differ from its query; no row: they are equal. In psql:
--   SET tallymill.rollup = 'funnel'; SET tallymill.day = '2026-11-24';
SELECT d.row_key, d.column_name, d.have, d.should
FROM tallymill.rollups r
CROSS JOIN LATERAL tallymill.rollup_differences(r.rollup, current_setting('tallymill.day')::date) AS d
WHERE r.rollup = current_setting('tallymill.rollup', true);
