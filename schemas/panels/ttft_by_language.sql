-- title: TTFT by language
-- sub: time to first token of generations, the slowest first; ±1 %
-- tab: overview 25, system 25
-- show: table
-- unit: ms
-- good: down
-- picks: language
-- Percentiles follow from the histograms of the days.
WITH counted AS (
  SELECT t.language, n.bucket, sum(n.events) AS events
  FROM public.analytics_daily_ttft_by_language AS t
  CROSS JOIN LATERAL (SELECT generate_series(t.first_bucket, t.first_bucket + cardinality(t.counts) - 1), unnest(t.counts)::double precision) AS n (bucket, events)
  WHERE t.date BETWEEN :'first' AND :'last' AND n.events > 0
  GROUP BY 1, 2
), reached AS (
  SELECT language, bucket, sum(events) OVER (PARTITION BY language ORDER BY bucket) AS below, sum(events) OVER (PARTITION BY language) AS total FROM counted
)
SELECT language, round(power(1.02, min(bucket) FILTER (WHERE below >= 0.5 * total) + 0.5), 1) AS "median ms",
       round(power(1.02, min(bucket) FILTER (WHERE below >= 0.95 * total) + 0.5), 1) AS "p95 ms", max(total)::bigint AS generations
FROM reached GROUP BY language
ORDER BY 2 DESC, 1 LIMIT 500;
