-- The weekly cohort: for each week (from Monday, UTC) how many users were active in it, by the week in which each was first seen. The row where
-- cohort_week equals week is the cohort's size; retention is active_users over that. First seen means in the months that are kept: of a
-- user whose first months are archived, it is the first week that is left.
-- target: analytics_weekly_cohorts
-- key: week, cohort_week
-- cadence: 1 h
-- looks_back: all
SELECT date_trunc('week', f.first_at AT TIME ZONE 'UTC')::date AS cohort_week, count(*) AS active_users
FROM (SELECT DISTINCT user_id FROM tallymill.week_events WHERE user_id IS NOT NULL) u
CROSS JOIN LATERAL (SELECT min(e.created_at) AS first_at FROM tallymill.settled_events e WHERE e.user_id = u.user_id) f
GROUP BY 1
