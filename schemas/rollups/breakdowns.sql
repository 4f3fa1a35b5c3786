-- Every event by its attributes with few values: doc_type, language, origin, format, action, method, tier, referrer and the like, whatever the
-- event's name. For each (event, attribute) the 200 values with the most events have a row, the others are '(other)' together;
-- an event without the attribute is in no row of it.
-- The attributes of an event are unfolded in the list of columns: as a join they would be looked up in a cache of what was unfolded before, which costs more.
-- target: analytics_daily_breakdowns
-- key: date, event_name, attribute, value
-- cadence: 5 min
-- range: yes
WITH valued AS MATERIALIZED (
  SELECT date, event_name, (a).key AS attribute, tallymill.label((a).value) AS value, session_id, user_id
  FROM (SELECT e.date, e.event_name, e.session_id, e.user_id, jsonb_each(CASE WHEN jsonb_typeof(e.event_data) = 'object' THEN e.event_data ELSE '{}' END) AS a
        FROM tallymill.range_events e OFFSET 0) e
  WHERE (a).key IN ('doc_type', 'language', 'origin', 'format', 'action', 'method', 'tier', 'previous_tier', 'new_tier', 'source', 'reason', 'provider',
                  'grade', 'success', 'has_trial', 'landing_page', 'referrer')
    AND jsonb_typeof((a).value) IN ('string', 'number', 'boolean')
), ranked AS (
  SELECT date, event_name, attribute, value,
         CASE WHEN row_number() OVER (PARTITION BY date, event_name, attribute ORDER BY count(*) DESC, value COLLATE "C") <= 200 THEN value ELSE '(other)' END AS label
  FROM valued GROUP BY 1, 2, 3, 4
)
SELECT v.date, v.event_name::text AS event_name, v.attribute, r.label AS value, count(*) AS events, count(DISTINCT v.session_id) AS sessions,
       count(DISTINCT v.user_id) AS users
FROM valued v JOIN ranked r ON r.date = v.date AND r.event_name = v.event_name AND r.attribute = v.attribute AND r.value = v.value
GROUP BY 1, 2, 3, 4
