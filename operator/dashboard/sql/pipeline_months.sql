-- The months, the newest first: their state, about how many rows (the planner's estimate), and their size with indexes.
SELECT to_char(m.month, 'YYYY-MM') AS month, m.state, greatest(c.reltuples, 0)::bigint AS rows,
       coalesce(pg_total_relation_size(c.oid), 0)::bigint AS bytes, m.month > (now() AT TIME ZONE 'UTC')::date AS is_ahead
FROM tallymill.months m LEFT JOIN pg_class c ON c.oid = tallymill.month_table(m.month)
ORDER BY m.month DESC LIMIT 120;
