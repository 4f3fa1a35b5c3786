-- Quality scores by doc type: how many, mean, median, tenth percentile, the extremes, and how many of each grade.
-- target: analytics_daily_quality_scores
-- key: date, doc_type
-- cadence: 5 min
-- range: yes
SELECT date, doc_type, count(*) AS events, round(avg(score), 6) AS score_mean,
       percentile_disc(0.1) WITHIN GROUP (ORDER BY score) AS score_p10, percentile_disc(0.5) WITHIN GROUP (ORDER BY score) AS score_p50,
       min(score) AS score_min, max(score) AS score_max,
       count(*) FILTER (WHERE grade = 'A') AS grade_a, count(*) FILTER (WHERE grade = 'B') AS grade_b, count(*) FILTER (WHERE grade = 'C') AS grade_c,
       count(*) FILTER (WHERE grade = 'D') AS grade_d, count(*) FILTER (WHERE grade = 'F') AS grade_f
FROM (
  SELECT date, tallymill.label(event_data -> 'doc_type') AS doc_type, tallymill.number(event_data -> 'score') AS score, event_data ->> 'grade' AS grade
  FROM tallymill.range_events WHERE event_name = 'quality_score'
) q
GROUP BY 1, 2
