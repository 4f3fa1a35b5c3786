-- Has tallymill.first_seen say that users $1 were first seen at $3 in months that left ('': in none of them), or, where $2, first_seen_internal; and counts in erasure $4 of how many users what was
-- known goes, with the weeks of days $5, of months that are away, on which they were there (erase_weeks.sql). The rollups that look back to a user's first event are computed anew.
WITH told AS (
  SELECT t.user_id, t.is_internal, nullif(t.at, '')::timestamptz AS first_at FROM unnest($1::bigint[], $2::boolean[], $3::text[]) AS t (user_id, is_internal, at)
), outside AS (
  DELETE FROM tallymill.first_seen f USING told t WHERE f.user_id = t.user_id AND NOT t.is_internal AND t.first_at IS NULL RETURNING f.user_id
), outside_later AS (
  UPDATE tallymill.first_seen f SET first_at = t.first_at FROM told t WHERE f.user_id = t.user_id AND NOT t.is_internal AND f.first_at <> t.first_at RETURNING f.user_id
), inside AS (
  DELETE FROM tallymill.first_seen_internal f USING told t WHERE f.user_id = t.user_id AND t.is_internal AND t.first_at IS NULL RETURNING f.user_id
), inside_later AS (
  UPDATE tallymill.first_seen_internal f SET first_at = t.first_at FROM told t WHERE f.user_id = t.user_id AND t.is_internal AND f.first_at <> t.first_at RETURNING f.user_id
), gone AS (
  SELECT user_id FROM outside UNION SELECT user_id FROM outside_later UNION SELECT user_id FROM inside UNION SELECT user_id FROM inside_later
), stale AS (
  UPDATE tallymill.rollup_runs t SET version = NULL FROM tallymill.rollups r WHERE r.rollup = t.rollup AND r.looks_back AND EXISTS (SELECT FROM gone)
), weeks AS (
  SELECT jsonb_object_agg(date_trunc('week', d.day::timestamp)::date::text, 0) AS noted FROM unnest($5::date[]) AS d (day)
  WHERE EXISTS (SELECT FROM tallymill.rollups o WHERE o.period_days = 7 AND o.looks_back AND o.retired_at IS NULL)
), noted AS (
  UPDATE tallymill.erasures e
  SET counts = e.counts || jsonb_build_object('first_seen', coalesce((e.counts ->> 'first_seen')::bigint, 0) + (SELECT count(*) FROM gone))
    || coalesce((SELECT jsonb_build_object('weeks', w.noted || coalesce(e.counts -> 'weeks', '{}')) FROM weeks w WHERE w.noted IS NOT NULL), '{}')
  WHERE e.erasure = $4::bigint AND EXISTS (SELECT FROM gone)
)
SELECT FROM gone
