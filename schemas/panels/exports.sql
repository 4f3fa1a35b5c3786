-- title: Exports
-- sub: events
-- tab: workflow 4
-- show: number
-- unit: count
-- good: up
SELECT date_trunc(:'grain', h.date + interval :'shift')::date AS bucket, sum(h.events) AS value
FROM public.analytics_daily_hours AS h
WHERE h.date BETWEEN :'first' AND :'last' AND h.event_name = 'doc_export'
GROUP BY GROUPING SETS ((1), ()) ORDER BY 1 NULLS FIRST;
