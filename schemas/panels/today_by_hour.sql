-- title: Today by the hour
-- sub: events of every kind, UTC, beside the same weekday of the week before
-- tab: overview 7
-- show: line
-- unit: count
-- good: up
-- range: today
-- compare: no
SELECT n.hour AS bucket,
       CASE WHEN n.hour <= (SELECT max(l.hour) FROM public.analytics_daily_hours AS l WHERE l.date = :'last') THEN coalesce(sum(h.events) FILTER (WHERE h.date = :'last'), 0) END AS today,
       coalesce(sum(h.events) FILTER (WHERE h.date = DATE :'last' - 7), 0) AS "a week before"
FROM generate_series(0, 23) AS n (hour)
LEFT JOIN public.analytics_daily_hours AS h ON h.hour = n.hour AND h.date IN (:'last', DATE :'last' - 7)
GROUP BY n.hour ORDER BY n.hour;
