-- title: Active users
-- sub: exact, of the trailing 1, 7 and 28 days
-- tab: overview 30, usage 30
-- show: line
-- unit: count
-- good: up
-- compare: no
WITH ends AS (
  SELECT least((b + ('1 ' || :'grain')::interval)::date - 1, DATE :'last') AS day
  FROM generate_series(date_trunc(:'grain', TIMESTAMP :'first'), TIMESTAMP :'last', ('1 ' || :'grain')::interval) AS b
)
SELECT e.day AS bucket, coalesce(sum(u.keys) FILTER (WHERE u.date = e.day), 0) AS "day",
       coalesce(sum(u.keys) FILTER (WHERE u.date > e.day - 7 AND u.previous_date <= e.day - 7), 0) AS "7 days",
       coalesce(sum(u.keys) FILTER (WHERE u.previous_date <= e.day - 28), 0) AS "28 days"
FROM ends AS e
LEFT JOIN public.analytics_daily_uniques AS u
  ON u.subject = '*' AND u.kind = 'user' AND u.population = :'who' AND u.date > e.day - 28 AND u.date <= e.day
WHERE EXISTS (SELECT FROM tallymill.unique_subjects AS t WHERE t.subject = '*' AND t.retired_at IS NULL)
GROUP BY 1 ORDER BY 1;
