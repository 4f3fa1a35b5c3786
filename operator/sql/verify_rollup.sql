-- The figures of a rollup's period that differ from its query; no row: they are equal. In psql:
--   SET tallymill.rollup = 'funnel'; SET tallymill.day = '2026-11-24';
SELECT row_key, column_name, have, should
FROM tallymill.rollup_differences(current_setting('tallymill.rollup'), current_setting('tallymill.day')::date);
