-- Months that are there beyond this one without a hole, bytes of the table with its indexes, events of yesterday (UTC), and for how many microseconds a month has been on its way out. A table that somebody has locked is not waited for.
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '100ms', true) AS lock_timeout)
SELECT (SELECT min(n) - 1 FROM generate_series(1, 121) n
        WHERE n = 121 OR NOT EXISTS (SELECT FROM tallymill.attached_months m
                                     WHERE m.month = (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + n * interval '1 month')::date)) AS months_ahead,
       (SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint FROM pg_inherits i
        WHERE i.inhparent = 'public.analytics_events'::regclass AND p.lock_timeout <> '') AS table_bytes,
       (SELECT coalesce(sum(s.event_count), 0)::bigint FROM public.analytics_daily_stats s
        WHERE s.date = (clock_timestamp() AT TIME ZONE 'UTC')::date - 1) AS events_per_day,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(m.changed_at)) * 1000000, 0)::bigint FROM tallymill.months m WHERE m.state = 'detaching') AS month_leaving
FROM patience p
