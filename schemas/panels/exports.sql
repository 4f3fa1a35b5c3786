-- title: Exports
-- sub: events
-- tab: workflow 4
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', s.date::timestamp)::date AS bucket, coalesce(sum(s.event_count), 0) AS value
FROM public.analytics_daily_stats AS s
WHERE s.date BETWEEN :'first' AND :'last' AND s.event_name = 'doc_export'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
