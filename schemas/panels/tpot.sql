-- title: TPOT
-- sub: time per output token
-- tab: overview 21, system 21
-- show: classes
-- unit: ms
-- good: down
-- zones: 20 40 60
-- compare: no
-- A row for each day, and without a bucket for the whole range. Percentiles of one day are exact; those of a range, or of external and internal users together, follow from the histograms:
-- within 1 %.
WITH told AS (
  SELECT l.source, l.date, count(*) = 1 AS exact, max(l.p50) AS p50, max(l.p95) AS p95, max(l.p99) AS p99, sum(l.excellent) AS excellent, sum(l.good) AS good,
         sum(l.acceptable) AS acceptable, sum(l.slow) AS slow, sum(l.events) AS events
  FROM public.analytics_daily_llm AS l
  WHERE l.date BETWEEN :'first' AND :'last' AND l.metric = 'tpot'
  GROUP BY GROUPING SETS ((1, 2), (1))
), histograms AS (
  SELECT h.source, h.date, h.first_bucket, h.counts FROM public.analytics_daily_llm_histogram AS h WHERE h.date BETWEEN :'first' AND :'last' AND h.metric = 'tpot'
), near AS (
  SELECT d.source, d.date, p.*
  FROM (SELECT DISTINCT source, NULL::date AS date FROM histograms UNION ALL SELECT DISTINCT source, date FROM histograms WHERE :'who' = 'all') AS d
  CROSS JOIN LATERAL (
    SELECT round(power(1.02, min(r.bucket) FILTER (WHERE r.below >= 0.5 * r.total) + 0.5), 3) AS p50,
           round(power(1.02, min(r.bucket) FILTER (WHERE r.below >= 0.95 * r.total) + 0.5), 3) AS p95, round(power(1.02, min(r.bucket) FILTER (WHERE r.below >= 0.99 * r.total) + 0.5), 3) AS p99
    FROM (
      SELECT f.bucket, sum(f.events) OVER (ORDER BY f.bucket) AS below, sum(f.events) OVER () AS total
      FROM (
        SELECT h.first_bucket + n.place::integer - 1 AS bucket, sum(n.events::double precision) AS events
        FROM histograms AS h CROSS JOIN LATERAL unnest(h.counts) WITH ORDINALITY AS n (events, place)
        WHERE h.source = d.source AND (d.date IS NULL OR h.date = d.date)
        GROUP BY 1
      ) AS f
    ) AS r
  ) AS p
)
SELECT t.source, t.date AS bucket, CASE WHEN t.exact THEN t.p50 ELSE n.p50 END AS p50, CASE WHEN t.exact THEN t.p95 ELSE n.p95 END AS p95,
       CASE WHEN t.exact THEN t.p99 ELSE n.p99 END AS p99, t.excellent, t.good, t.acceptable, t.slow, t.events, t.exact
FROM told AS t LEFT JOIN near AS n ON n.source = t.source AND n.date IS NOT DISTINCT FROM t.date
ORDER BY 1, 2 NULLS FIRST;
