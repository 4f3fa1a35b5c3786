-- title: New and returning users
-- sub: exact; new: never seen before
-- tab: overview 31, usage 31
-- show: line
-- unit: count
-- good: up
-- compare: no
WITH buckets AS (
  SELECT b::date AS bucket, greatest(b::date, DATE :'first') AS first, least((b + ('1 ' || :'grain')::interval)::date - 1, DATE :'last') AS last
  FROM generate_series(date_trunc(:'grain', TIMESTAMP :'first'), TIMESTAMP :'last', ('1 ' || :'grain')::interval) AS b
)
SELECT b.bucket, coalesce(sum(u.keys) FILTER (WHERE u.previous_date = '-infinity'), 0) AS "new",
       coalesce(sum(u.keys) FILTER (WHERE u.previous_date > '-infinity'), 0) AS "returning"
FROM buckets AS b
LEFT JOIN public.analytics_daily_uniques AS u
  ON u.subject = '*' AND u.kind = 'user' AND u.population = :'who' AND u.date BETWEEN b.first AND b.last AND u.previous_date < b.first
WHERE EXISTS (SELECT FROM tallymill.unique_subjects AS t WHERE t.subject = '*' AND t.retired_at IS NULL)
GROUP BY 1 ORDER BY 1;
