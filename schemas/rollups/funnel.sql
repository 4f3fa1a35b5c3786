-- The plan's funnel: distinct sessions of the day that reached each stage. A session is counted at a stage whether or not it was
-- seen at the one before. generation_started is any doc_generation, generation_completed one with success true; a producer that
-- sends the two by name counts the same session once.
-- target: analytics_daily_funnel
-- key: date, stage
-- cadence: 1 min
-- range: yes
SELECT f.date, s.step, s.stage, s.sessions
FROM (
  SELECT d.date, count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS session_start,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input') AS code_input,
         count(DISTINCT session_id) FILTER (WHERE event_name IN ('generation_started', 'doc_generation')) AS generation_started,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'generation_completed'
           OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')) AS generation_completed,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') AS doc_export
  FROM tallymill.range_days d
  LEFT JOIN tallymill.range_events e ON e.date = d.date
    AND e.event_name IN ('session_start', 'code_input', 'generation_started', 'generation_completed', 'doc_generation', 'doc_export')
  GROUP BY d.date
) f
CROSS JOIN LATERAL (VALUES (1, 'session_start', session_start), (2, 'code_input', code_input), (3, 'generation_started', generation_started),
                           (4, 'generation_completed', generation_completed), (5, 'doc_export', doc_export)) AS s (step, stage, sessions)
