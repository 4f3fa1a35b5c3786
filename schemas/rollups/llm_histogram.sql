-- How the figures of llm are distributed, so that percentiles of any range of days follow: counts of values by bucket, of which each is 2 % wider than the one before.
-- counts[1] is bucket first_bucket; bucket n holds [1.02^n, 1.02^(n+1)), -350 all that is less than 0.001 (1.02^-349), 1046 all from 1.02^1046 on (9.9e8). The value that stands for a
-- bucket is 1.02^(n + 0.5): within 1 % of each that is in it. Counts of days add up bucket by bucket; schemas/rollups.md has the query.
-- Buckets are found among double precision: in an array of numeric, whose elements have any length, each look walks over half of it. Cut first, so that no cast fails.
-- The figures of an event are unfolded in the list of columns: as a join they would be looked up in a cache of what was unfolded before, which costs more.
-- target: analytics_daily_llm_histogram
-- key: date, source, metric
-- cadence: 5 min
-- range: yes
WITH bounds AS MATERIALIZED (
  SELECT array_agg(round(power(1.02::double precision, n)::numeric, 9)::double precision ORDER BY n) AS least FROM generate_series(-349, 1046) AS n
), measured AS (
  SELECT d.date, d.source, unnest(ARRAY['ttft', 'tpot', 'total', 'throughput']) AS metric,
         unnest(ARRAY[tallymill.number(d.data #> '{latency,ttft}'), tallymill.number(d.data #> '{latency,tpot}'), tallymill.number(d.data #> '{latency,total}'),
                      tallymill.number(d.data #> '{throughput,tokens_per_second}')]) AS value
  FROM (SELECT e.date, e.event_name::text AS source, CASE WHEN e.event_name = 'performance' THEN e.event_data ELSE e.event_data -> 'llm' END AS data
        FROM tallymill.range_events e WHERE e.event_name IN ('performance', 'doc_generation') OFFSET 0) d
), filled AS (
  SELECT date, source, metric, width_bucket(CASE WHEN value < 0.0009 THEN 0 ELSE least(value, 1e9) END::double precision, (SELECT least FROM bounds)) - 350 AS bucket, count(*) AS events
  FROM measured WHERE value IS NOT NULL GROUP BY 1, 2, 3, 4
), spanned AS (
  SELECT date, source, metric, min(bucket) AS first_bucket, max(bucket) AS last_bucket, array_agg(bucket) AS buckets, array_agg(events) AS counts FROM filled GROUP BY 1, 2, 3
)
SELECT s.date, s.source, s.metric, s.first_bucket, c.counts
FROM spanned s
CROSS JOIN LATERAL (
  SELECT array_agg(coalesce(f.events, 0) ORDER BY n.bucket) AS counts
  FROM generate_series(s.first_bucket, s.last_bucket) AS n (bucket) LEFT JOIN unnest(s.buckets, s.counts) AS f (bucket, events) USING (bucket)
) c
