-- The weekly cohort: for each week (from Monday, UTC) how many users were active in it, by the week in which each was first seen. The row where
-- cohort_week equals week is the cohort's size; retention is active_users over that. What is archived counts.
-- target: analytics_weekly_cohorts
-- key: week, cohort_week
-- cadence: 6 h
-- looks_back: all
-- range: yes
WITH active AS MATERIALIZED (
  SELECT DISTINCT week, user_id FROM tallymill.range_events WHERE user_id IS NOT NULL
)
SELECT a.week, date_trunc('week', f.at AT TIME ZONE 'UTC')::date AS cohort_week, count(*) AS active_users
FROM active a JOIN tallymill.first_seen_of(ARRAY(SELECT DISTINCT user_id FROM active), tallymill.asked_to('range')) f USING (user_id)
GROUP BY 1, 2
