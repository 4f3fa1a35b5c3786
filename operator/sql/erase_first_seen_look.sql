-- Of whom tallymill.first_seen (or, is_internal, first_seen_internal) says the moment of an event that is to go, and who are none of users $1: who has events of sessions $2 in months that can be read,
-- and who has them in months that left (users $3, internal or not $4, the earliest of each $5).
WITH going AS (
  SELECT t.user_id, t.is_internal, t.at FROM unnest($3::bigint[], $4::boolean[], $5::timestamptz[]) AS t (user_id, is_internal, at)
  UNION ALL
  SELECT e.user_id, e.is_internal, e.created_at FROM public.analytics_events e WHERE e.session_id = ANY ($2::text[]) AND e.user_id IS NOT NULL AND NOT e.user_id = ANY ($1::bigint[])
)
SELECT DISTINCT g.user_id, g.is_internal FROM going g
WHERE g.at = CASE WHEN g.is_internal THEN (SELECT f.first_at FROM tallymill.first_seen_internal f WHERE f.user_id = g.user_id)
                  ELSE (SELECT f.first_at FROM tallymill.first_seen f WHERE f.user_id = g.user_id) END
ORDER BY 1, 2
