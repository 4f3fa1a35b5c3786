-- The weekly cohort: for each week (from Monday, UTC) how many users were active in it, by the week in which each was first seen. The row where
-- cohort_week equals week is the cohort's size; retention is active_users over that. What is archived counts: tallymill.first_seen says when
-- a user was first seen in months that left.
-- target: analytics_weekly_cohorts
-- key: week, cohort_week
-- cadence: 6 h
-- looks_back: all
-- range: yes
WITH active AS MATERIALIZED (
  SELECT DISTINCT week, user_id FROM tallymill.range_events WHERE user_id IS NOT NULL
), first_seen AS (
  SELECT s.user_id, min(s.at) AS at
  FROM (SELECT e.user_id, e.created_at AS at FROM tallymill.settled_events e
        WHERE e.user_id IN (SELECT user_id FROM active) AND e.created_at < tallymill.asked_to('range')
        UNION ALL
        SELECT f.user_id, f.first_at FROM tallymill.first_seen f WHERE f.user_id IN (SELECT user_id FROM active)) s
  GROUP BY s.user_id
)
SELECT a.week, date_trunc('week', f.at AT TIME ZONE 'UTC')::date AS cohort_week, count(*) AS active_users
FROM active a JOIN first_seen f USING (user_id)
GROUP BY 1, 2
