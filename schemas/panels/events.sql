-- title: Events
-- sub: by name; sessions and users distinct, exact over the range
-- tab: all 90
-- show: table
-- unit: count
-- good: none
-- On a tab of the plan's categories, the events of that category. Sessions and users of the names that are counted (uniques.subjects): an event may be called "*", which is no subject of its own.
WITH counted AS (
  SELECT s.event_name AS event, sum(s.events) AS events
  FROM public.analytics_daily_hours AS s
  WHERE s.date BETWEEN :'first' AND :'last'
    AND (:'tab' = 'overview' OR s.event_name = ANY (CASE :'tab'
      WHEN 'workflow' THEN '{session_start,code_input,generation_started,generation_completed,doc_export}'::text[]
      WHEN 'business' THEN '{login,signup,trial,tier_change,checkout_completed,usage_alert}'
      WHEN 'usage' THEN '{doc_generation,batch_generation,quality_score,oauth_flow,user_interaction}'
      ELSE '{error,performance}' END))
  GROUP BY 1
)
SELECT c.event, c.events, CASE WHEN t.subject IS NOT NULL THEN coalesce(r.sessions, 0) END AS sessions, CASE WHEN t.subject IS NOT NULL THEN coalesce(r.users, 0) END AS users
FROM counted AS c
LEFT JOIN tallymill.unique_subjects AS t ON t.subject = c.event AND t.condition = format('event_name = %L', c.event) AND t.retired_at IS NULL
LEFT JOIN LATERAL (
  SELECT sum(u.keys) FILTER (WHERE u.kind = 'session') AS sessions, sum(u.keys) FILTER (WHERE u.kind = 'user') AS users
  FROM public.analytics_daily_uniques AS u
  WHERE u.subject = t.subject AND u.kind IN ('session', 'user') AND u.population = :'who' AND u.date BETWEEN :'first' AND :'last' AND u.previous_date < :'first'
) AS r ON true
ORDER BY 2 DESC, 1 LIMIT 500;
