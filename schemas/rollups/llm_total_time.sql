-- How long a whole generation took by doc type (llm.latency.total of doc_generation, ms), beside the plan's table of typical times: README
-- 15-20 s, JSDoc 25-35 s, API Docs 35-50 s, Architecture 60-90 s. faster, typical and slower count the events on either side of the range and in
-- it, both ends included; NULL for doc types that the table does not know.
-- target: analytics_daily_llm_total_time
-- key: date, doc_type
-- cadence: 5 min
-- range: yes
WITH typical (name, typical_from_ms, typical_to_ms) AS (
  VALUES ('readme', 15000, 20000), ('jsdoc', 25000, 35000), ('api', 35000, 50000), ('api docs', 35000, 50000), ('architecture', 60000, 90000)
), timed AS (
  SELECT date, tallymill.label(event_data -> 'doc_type') AS doc_type, tallymill.number(event_data #> '{llm,latency,total}') AS total_ms
  FROM tallymill.range_events WHERE event_name = 'doc_generation'
)
SELECT t.date, t.doc_type, count(*) AS events, round(avg(t.total_ms), 6) AS mean,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY t.total_ms) AS p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY t.total_ms) AS p95,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY t.total_ms) AS p99,
       y.typical_from_ms, y.typical_to_ms,
       CASE WHEN y.name IS NOT NULL THEN count(*) FILTER (WHERE t.total_ms < y.typical_from_ms) END AS faster,
       CASE WHEN y.name IS NOT NULL THEN count(*) FILTER (WHERE t.total_ms BETWEEN y.typical_from_ms AND y.typical_to_ms) END AS typical,
       CASE WHEN y.name IS NOT NULL THEN count(*) FILTER (WHERE t.total_ms > y.typical_to_ms) END AS slower
FROM timed t LEFT JOIN typical y ON y.name = lower(t.doc_type)
WHERE t.total_ms IS NOT NULL
GROUP BY t.date, t.doc_type, y.name, y.typical_from_ms, y.typical_to_ms
