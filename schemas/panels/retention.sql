-- title: Retention
-- sub: share of a week's new users active in each later one
-- tab: overview 31, business 30, usage 31
-- show: heat
-- unit: count
-- good: up
-- compare: no
-- who: external internal
-- The ten weeks up to the end of the range. The row of week 0 is the cohort's size.
SELECT c.cohort_week AS "first week", (c.week - c.cohort_week) / 7 AS week, c.active_users AS users
FROM public.analytics_weekly_cohorts AS c
WHERE c.cohort_week > DATE :'last' - 70 AND c.week <= :'last'
ORDER BY 1, 2;
