-- title: TPOT
-- sub: time per output token
-- tab: overview 21, system 21
-- show: classes
-- unit: ms
-- good: down
-- zones: 20 40 60
-- compare: no
-- A row for each day, and without a bucket for the whole range. Percentiles of one day are exact; those of a range, or of external and internal users together, follow from the histograms:
-- within 1 %. Of each day, and of the range, "reached" holds how many events lie in a bucket or below it, from first_bucket on: a percentile is in the first bucket that reaches its share of
-- them, and since events are whole, half of one less than its share lies between what is below and what reaches it. A day's two histograms are added place by place, without a sort.
WITH told AS (
  SELECT l.source, l.date, count(*) = 1 AS exact, max(l.p50) AS p50, max(l.p95) AS p95, max(l.p99) AS p99, sum(l.excellent) AS excellent, sum(l.good) AS good,
         sum(l.acceptable) AS acceptable, sum(l.slow) AS slow, sum(l.events) AS events
  FROM public.analytics_daily_llm AS l
  WHERE l.date BETWEEN :'first' AND :'last' AND l.metric = 'tpot'
  GROUP BY GROUPING SETS ((1, 2), (1))
), histograms AS MATERIALIZED (
  SELECT h.source, h.date, h.first_bucket, h.first_bucket + cardinality(h.counts) - 1 AS last_bucket, h.counts || '{}' AS counts -- unpacked, once
  FROM public.analytics_daily_llm_histogram AS h WHERE h.date BETWEEN :'first' AND :'last' AND h.metric = 'tpot'
), beside AS (
  SELECT source, date, first_bucket, last_bucket, counts, lead(first_bucket) OVER day AS other_first, lead(last_bucket) OVER day AS other_last, lead(counts) OVER day AS other_counts,
         row_number() OVER day AS place
  FROM histograms WHERE :'who' = 'all' WINDOW day AS (PARTITION BY source, date)
), reached AS MATERIALIZED (
  SELECT d.source, d.date, least(d.first_bucket, d.other_first) AS first_bucket, ARRAY(
    SELECT sum(coalesce(d.counts[n.bucket - d.first_bucket + 1], 0) + coalesce(d.other_counts[n.bucket - d.other_first + 1], 0)::double precision) OVER (ORDER BY n.bucket ROWS UNBOUNDED PRECEDING)
    FROM (SELECT generate_series(least(d.first_bucket, d.other_first), greatest(d.last_bucket, d.other_last)) AS bucket) AS n ORDER BY n.bucket) AS events
  FROM beside AS d WHERE d.place = 1
  UNION ALL
  SELECT s.source, NULL, s.first_bucket, ARRAY(
    SELECT sum(sum(n.events)) OVER (ORDER BY n.bucket)
    FROM (
      SELECT generate_series(s.first_bucket, s.last_bucket) AS bucket, 0 AS events
      UNION ALL
      SELECT f.bucket, f.events
      FROM (SELECT generate_series(h.first_bucket, h.last_bucket) AS bucket, unnest(h.counts)::double precision AS events FROM histograms AS h WHERE h.source = s.source) AS f WHERE f.events > 0
    ) AS n GROUP BY n.bucket ORDER BY n.bucket)
  FROM (SELECT source, min(first_bucket) AS first_bucket, max(last_bucket) AS last_bucket FROM histograms GROUP BY 1) AS s
), near AS (
  SELECT r.source, r.date, round(power(1.02, r.first_bucket + width_bucket(ceil(0.5 * t.total) - 0.5, r.events) + 0.5), 3) AS p50,
         round(power(1.02, r.first_bucket + width_bucket(ceil(0.95 * t.total) - 0.5, r.events) + 0.5), 3) AS p95,
         round(power(1.02, r.first_bucket + width_bucket(ceil(0.99 * t.total) - 0.5, r.events) + 0.5), 3) AS p99
  FROM reached AS r CROSS JOIN LATERAL (SELECT r.events[cardinality(r.events)]) AS t (total)
)
SELECT t.source, t.date AS bucket, CASE WHEN t.exact THEN t.p50 ELSE n.p50 END AS p50, CASE WHEN t.exact THEN t.p95 ELSE n.p95 END AS p95,
       CASE WHEN t.exact THEN t.p99 ELSE n.p99 END AS p99, t.excellent, t.good, t.acceptable, t.slow, t.events, t.exact
FROM told AS t LEFT JOIN near AS n ON n.source = t.source AND coalesce(n.date, 'infinity') = coalesce(t.date, 'infinity')
ORDER BY 1, 2 NULLS FIRST;
