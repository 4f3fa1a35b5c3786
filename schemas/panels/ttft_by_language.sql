-- title: TTFT by language
-- sub: time to first token of generations, the slowest first; ±1 %
-- tab: overview 25, system 25
-- show: table
-- unit: ms
-- good: down
-- picks: language
-- Percentiles follow from the histograms of the days: of each language, "events" holds how many generations lie in a bucket or below it, beside "buckets", those that have any. They are added one
-- language at a time, by the bucket alone: in groups of a language and a bucket it takes half as long again.
WITH reached AS MATERIALIZED (
  SELECT l.language, a.buckets, a.events
  FROM (SELECT t.language, array_agg(ROW(t.first_bucket, t.counts)) AS days FROM public.analytics_daily_ttft_by_language AS t WHERE t.date BETWEEN :'first' AND :'last' GROUP BY 1) AS l CROSS JOIN LATERAL (
    SELECT array_agg(r.bucket ORDER BY r.bucket) AS buckets, array_agg(r.below ORDER BY r.bucket) AS events
    FROM (
      SELECT n.bucket, sum(sum(n.events::double precision)) OVER (ORDER BY n.bucket) AS below
      FROM (SELECT generate_series(d.first_bucket, d.first_bucket + cardinality(d.counts) - 1) AS bucket, unnest(d.counts) AS events FROM unnest(l.days) AS d (first_bucket integer, counts bigint[])) AS n
      WHERE n.events > 0 GROUP BY n.bucket) AS r) AS a
)
SELECT r.language, round(power(1.02, r.buckets[width_bucket(ceil(0.5 * t.total) - 0.5, r.events) + 1] + 0.5), 1) AS "median ms",
       round(power(1.02, r.buckets[width_bucket(ceil(0.95 * t.total) - 0.5, r.events) + 1] + 0.5), 1) AS "p95 ms", t.total::bigint AS generations
FROM reached AS r CROSS JOIN LATERAL (SELECT r.events[cardinality(r.events)]) AS t (total)
ORDER BY 2 DESC, 1 LIMIT 500;
