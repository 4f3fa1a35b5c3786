-- The weekly cohort: for each week (from Monday, UTC) how many users were active in it, by the week in which each was first seen. The row where
-- cohort_week equals week is the cohort's size; retention is active_users over that. First seen means in the months that are kept: of a
-- user whose first months are archived, it is the first week that is left.
-- target: analytics_weekly_cohorts
-- key: week, cohort_week
-- cadence: 6 h
-- looks_back: all
-- range: yes
WITH active AS MATERIALIZED (
  SELECT DISTINCT week, user_id FROM tallymill.range_events WHERE user_id IS NOT NULL
), first_seen AS (
  SELECT e.user_id, min(e.created_at) AS at
  FROM tallymill.settled_events e
  WHERE e.user_id IN (SELECT user_id FROM active) AND e.created_at < tallymill.asked_to('range')
  GROUP BY e.user_id
)
SELECT a.week, date_trunc('week', f.at AT TIME ZONE 'UTC')::date AS cohort_week, count(*) AS active_users
FROM active a JOIN first_seen f USING (user_id)
GROUP BY 1, 2
