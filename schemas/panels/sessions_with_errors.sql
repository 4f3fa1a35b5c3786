-- title: Sessions with an error
-- sub: distinct, exact over the range
-- tab: system 2
-- show: number
-- unit: count
-- good: down
-- A key counts once in the range: on its first day there, whose previous day lies before it. The row without a bucket is the whole range. No row: nobody
-- counts this subject (uniques.subjects).
WITH buckets AS (
  SELECT b::date AS bucket, greatest((b - interval :'shift')::date, DATE :'first') AS first, least((b + ('1 ' || :'grain')::interval - interval :'shift')::date - 1, DATE :'last') AS last
  FROM generate_series(date_trunc(:'grain', TIMESTAMP :'first' + interval :'shift'), TIMESTAMP :'last' + interval :'shift', ('1 ' || :'grain')::interval) AS b
)
SELECT b.bucket, coalesce(sum(u.keys), 0) AS value
FROM (SELECT NULL::date AS bucket, DATE :'first' AS first, DATE :'last' AS last UNION ALL SELECT bucket, first, last FROM buckets) AS b
LEFT JOIN public.analytics_daily_uniques AS u
  ON u.subject = 'error' AND u.kind = 'session' AND u.population = :'who' AND u.date BETWEEN b.first AND b.last AND u.previous_date < b.first
WHERE EXISTS (SELECT FROM tallymill.unique_subjects AS t WHERE t.subject = 'error' AND t.retired_at IS NULL)
GROUP BY b.bucket ORDER BY b.bucket NULLS FIRST;
