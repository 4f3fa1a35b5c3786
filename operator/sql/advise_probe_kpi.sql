SELECT count(*) FILTER (WHERE event_name = 'signup') AS signups, count(*) FILTER (WHERE event_name = 'doc_generation') AS generations,
       count(*) FILTER (WHERE event_name = 'checkout_completed') AS checkouts, count(DISTINCT session_id) AS sessions
FROM public.analytics_events /* tallymill advise */
WHERE is_internal = FALSE AND created_at >= now() - interval '30 days'
