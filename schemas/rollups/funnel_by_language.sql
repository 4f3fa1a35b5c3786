-- The funnel by programming language: a session counts under each language that its code_input and doc_generation events of the day
-- name, at every stage that it reached; '(none)' holds the sessions that named none. A session with two languages is in two rows, so
-- the rows of a stage may add up to more than analytics_daily_funnel has. The 200 languages with the most sessions, the others as '(other)'.
-- target: analytics_daily_funnel_by_language
-- key: date, language, stage
-- cadence: 5 min
-- range: yes
WITH seen AS MATERIALIZED (
  SELECT DISTINCT date, session_id, event_name,
         CASE WHEN event_name = 'doc_generation' THEN event_data -> 'success' = 'true' END AS is_success,
         CASE WHEN event_name IN ('code_input', 'doc_generation') THEN nullif(tallymill.label(event_data -> 'language'), '(none)') END AS language
  FROM tallymill.range_events
  WHERE session_id IS NOT NULL
    AND event_name IN ('session_start', 'code_input', 'generation_started', 'generation_completed', 'doc_generation', 'doc_export')
), spoken AS (
  SELECT DISTINCT date, session_id, language FROM seen WHERE language IS NOT NULL
), ranked AS (
  SELECT date, language, CASE WHEN row_number() OVER (PARTITION BY date ORDER BY count(*) DESC, language COLLATE "C") <= 200 THEN language ELSE '(other)' END AS label
  FROM spoken GROUP BY date, language
), reached AS (
  SELECT s.date, s.session_id, s.event_name, s.is_success, coalesce(r.label, '(none)') AS language
  FROM seen s LEFT JOIN spoken p USING (date, session_id) LEFT JOIN ranked r ON r.date = s.date AND r.language = p.language
), counted AS (
  SELECT date, language,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start') AS session_start,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input') AS code_input,
         count(DISTINCT session_id) FILTER (WHERE event_name IN ('generation_started', 'doc_generation')) AS generation_started,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'generation_completed' OR is_success) AS generation_completed,
         count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') AS doc_export
  FROM reached GROUP BY date, language
)
SELECT date, language, s.step, s.stage, s.sessions
FROM counted
CROSS JOIN LATERAL (VALUES (1, 'session_start', session_start), (2, 'code_input', code_input), (3, 'generation_started', generation_started),
                           (4, 'generation_completed', generation_completed), (5, 'doc_export', doc_export)) AS s (step, stage, sessions)
