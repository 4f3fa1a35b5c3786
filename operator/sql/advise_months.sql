-- What is left to do where the table has its months: those that are missing ahead, and those that are cold: that ended by
-- cold_before, as archive.after says. In psql: SET tallymill.months_ahead = '3'; SET tallymill.cold_before = '2025-11-01';
SELECT (SELECT coalesce(json_agg(to_char(m.month, 'YYYY-MM') ORDER BY m.month), '[]')::text
        FROM generate_series(date_trunc('month', now()), date_trunc('month', now()) + current_setting('tallymill.months_ahead')::integer * interval '1 month', interval '1 month') AS m (month)
        WHERE NOT EXISTS (SELECT FROM tallymill.table_partitions() t WHERE t.month = m.month::date)) AS months_missing,
       count(*) AS cold_months, coalesce(sum(pg_total_relation_size(t.leaf)), 0)::bigint AS cold_bytes
FROM tallymill.table_partitions() t
WHERE t.month + interval '1 month' <= nullif(current_setting('tallymill.cold_before', true), '')::date AND pg_relation_size(t.leaf) > 0;
