-- How soon the first token of a generation came, by its language: median and p95 of the day, and the distribution in the buckets of llm_histogram (2 % wide; counts[1] is bucket
-- first_bucket), so that days add up to percentiles of any range. The 200 languages with the most generations of the day, the others as '(other)'; '(none)' named none.
-- Buckets are found among double precision: in an array of numeric, whose elements have any length, each look walks over half of it. Cut first, so that no cast fails.
-- target: analytics_daily_ttft_by_language
-- key: date, language
-- cadence: 5 min
-- range: yes
WITH bounds AS MATERIALIZED (
  SELECT array_agg(round(power(1.02::double precision, n)::numeric, 9)::double precision ORDER BY n) AS least FROM generate_series(-349, 1046) AS n
), measured AS (
  SELECT e.date, tallymill.label(e.event_data -> 'language') AS language, tallymill.number(e.event_data #> '{llm,latency,ttft}') AS value
  FROM tallymill.range_events e WHERE e.event_name = 'doc_generation'
), ranked AS (
  SELECT date, language, CASE WHEN row_number() OVER (PARTITION BY date ORDER BY count(*) DESC, language COLLATE "C") <= 200 THEN language ELSE '(other)' END AS label
  FROM measured WHERE value IS NOT NULL GROUP BY date, language
), named AS (
  SELECT m.date, r.label AS language, m.value FROM measured m JOIN ranked r USING (date, language) WHERE m.value IS NOT NULL
), told AS (
  SELECT date, language, count(*) AS events, percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY value) AS p95 FROM named GROUP BY 1, 2
), filled AS (
  SELECT date, language, width_bucket(CASE WHEN value < 0.0009 THEN 0 ELSE least(value, 1e9) END::double precision, (SELECT least FROM bounds)) - 350 AS bucket, count(*) AS events FROM named GROUP BY 1, 2, 3
), spanned AS (
  SELECT date, language, min(bucket) AS first_bucket, max(bucket) AS last_bucket, array_agg(bucket) AS buckets, array_agg(events) AS counts FROM filled GROUP BY 1, 2
)
SELECT t.date, t.language, t.events, t.p50, t.p95, s.first_bucket, c.counts
FROM told t JOIN spanned s USING (date, language)
CROSS JOIN LATERAL (
  SELECT array_agg(coalesce(f.events, 0) ORDER BY n.bucket) AS counts
  FROM generate_series(s.first_bucket, s.last_bucket) AS n (bucket) LEFT JOIN unnest(s.buckets, s.counts) AS f (bucket, events) USING (bucket)
) c
