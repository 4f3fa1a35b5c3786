SELECT count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS session_start, count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input') AS code_input,
       count(DISTINCT session_id) FILTER (WHERE event_name IN ('generation_started', 'doc_generation')) AS generation_started,
       count(DISTINCT session_id) FILTER (WHERE event_name = 'generation_completed' OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')) AS generation_completed,
       count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') AS doc_export
FROM public.analytics_events /* tallymill advise */
WHERE is_internal = FALSE AND created_at >= now() - interval '30 days'
  AND event_name IN ('session_start', 'code_input', 'generation_started', 'generation_completed', 'doc_generation', 'doc_export')
