-- How many bytes the events hold, and about how many they grow by a day: bytes a row of the months that have rows, times the events of the last seven whole days.
WITH months AS (
  SELECT pg_total_relation_size(c.oid) AS bytes, greatest(c.reltuples, 0) AS rows
  FROM tallymill.months m JOIN pg_class c ON c.oid = tallymill.month_table(m.month)
)
SELECT coalesce(sum(bytes), 0)::bigint AS bytes, pg_database_size(current_database()) AS database_bytes,
       (sum(bytes) FILTER (WHERE rows > 0) / nullif(sum(rows), 0)
        * (SELECT sum(event_count) / 7 FROM public.analytics_daily_stats
           WHERE date BETWEEN (now() AT TIME ZONE 'UTC')::date - 7 AND (now() AT TIME ZONE 'UTC')::date - 1))::bigint AS day_bytes
FROM months;
