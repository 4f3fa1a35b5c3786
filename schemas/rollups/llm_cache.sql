-- The prompt cache. hit_rate: events with read_tokens > 0 over events with a `cache` (the plan's target: above 0.7). savings: the share of
-- the input's price that the cache saved, 0.9 x read_tokens / (read_tokens + input_tokens), over the day's sums; NULL without tokens.
-- target: analytics_daily_llm_cache
-- key: date, source
-- cadence: 1 min
-- range: yes
SELECT date, source::text AS source, count(*) AS events, count(*) FILTER (WHERE read_tokens > 0) AS hits,
       round(count(*) FILTER (WHERE read_tokens > 0) / count(*)::numeric, 6) AS hit_rate,
       coalesce(sum(read_tokens), 0) AS read_tokens, coalesce(sum(input_tokens), 0) AS input_tokens,
       round(0.9 * coalesce(sum(read_tokens), 0) / nullif(coalesce(sum(read_tokens), 0) + coalesce(sum(input_tokens), 0), 0), 6) AS savings
FROM (
  SELECT e.date, e.event_name AS source, tallymill.number(c.cache -> 'read_tokens') AS read_tokens, tallymill.number(c.cache -> 'input_tokens') AS input_tokens
  FROM tallymill.range_events e
  CROSS JOIN LATERAL (SELECT CASE WHEN e.event_name = 'performance' THEN e.event_data -> 'cache' ELSE e.event_data #> '{llm,cache}' END AS cache OFFSET 0) c
  WHERE e.event_name IN ('performance', 'doc_generation') AND jsonb_typeof(c.cache) = 'object'
) t
GROUP BY 1, 2
