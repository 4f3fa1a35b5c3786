-- How fast the model was: time to first token (ttft, ms), time per output token (tpot, ms), whole time (total, ms) and throughput
-- (tokens/s), from `performance` events (latency.ttft ...) and from `doc_generation` (llm.latency.ttft ...), each in rows of its own, since an
-- application may send both for one call. Percentiles are values that occurred (nearest rank), the mean is exact to six decimals.
-- Classes of the plan: ttft [0, 500) excellent, [500, 1000) good, [1000, 2000] acceptable, above slow; tpot [0, 20), [20, 40), [40, 60], above;
-- throughput above 50 excellent, [30, 50] good, [15, 30) acceptable, below 15 slow. The plan has none for total. As shares and as counts, which add up over days; p05 and p01 are the
-- slow end of throughput. Percentiles of a range of days: llm_histogram.
-- The figures of an event are unfolded in the list of columns: as a join they would be looked up in a cache of what was unfolded before, which costs more.
-- target: analytics_daily_llm
-- key: date, source, metric
-- cadence: 1 min
-- range: yes
WITH measured AS (
  SELECT d.date, d.source, unnest(ARRAY['ttft', 'tpot', 'total', 'throughput']) AS metric,
         unnest(ARRAY[tallymill.number(d.data #> '{latency,ttft}'), tallymill.number(d.data #> '{latency,tpot}'), tallymill.number(d.data #> '{latency,total}'),
                      tallymill.number(d.data #> '{throughput,tokens_per_second}')]) AS value
  FROM (SELECT e.date, e.event_name AS source, CASE WHEN e.event_name = 'performance' THEN e.event_data ELSE e.event_data -> 'llm' END AS data
        FROM tallymill.range_events e WHERE e.event_name IN ('performance', 'doc_generation') OFFSET 0) d
), classed AS (
  SELECT date, source, metric, value,
         CASE metric WHEN 'ttft' THEN CASE WHEN value < 500 THEN 1 WHEN value < 1000 THEN 2 WHEN value <= 2000 THEN 3 ELSE 4 END
                     WHEN 'tpot' THEN CASE WHEN value < 20 THEN 1 WHEN value < 40 THEN 2 WHEN value <= 60 THEN 3 ELSE 4 END
                     WHEN 'throughput' THEN CASE WHEN value > 50 THEN 1 WHEN value >= 30 THEN 2 WHEN value >= 15 THEN 3 ELSE 4 END END AS class
  FROM measured WHERE value IS NOT NULL
)
SELECT date, source::text AS source, metric, count(*) AS events, round(avg(value), 6) AS mean,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY value) AS p95,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY value) AS p99,
       round(count(*) FILTER (WHERE class = 1) / nullif(count(class), 0)::numeric, 6) AS excellent_share,
       round(count(*) FILTER (WHERE class = 2) / nullif(count(class), 0)::numeric, 6) AS good_share,
       round(count(*) FILTER (WHERE class = 3) / nullif(count(class), 0)::numeric, 6) AS acceptable_share,
       round(count(*) FILTER (WHERE class = 4) / nullif(count(class), 0)::numeric, 6) AS slow_share,
       percentile_disc(0.05) WITHIN GROUP (ORDER BY value) AS p05,
       percentile_disc(0.01) WITHIN GROUP (ORDER BY value) AS p01,
       CASE WHEN metric <> 'total' THEN count(*) FILTER (WHERE class = 1) END AS excellent,
       CASE WHEN metric <> 'total' THEN count(*) FILTER (WHERE class = 2) END AS good,
       CASE WHEN metric <> 'total' THEN count(*) FILTER (WHERE class = 3) END AS acceptable,
       CASE WHEN metric <> 'total' THEN count(*) FILTER (WHERE class = 4) END AS slow
FROM classed GROUP BY 1, 2, 3
