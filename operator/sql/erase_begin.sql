-- Notes an erasure that begins ($1 users, $2 sessions, $3 who asked), or goes on with one for the same that was not ended. One row: its number, and what it took away so far.
WITH found AS (
  SELECT e.erasure, e.counts FROM tallymill.erasures e WHERE e.receipt IS NULL AND e.users = $1::bigint[] AND e.sessions = $2::text[] ORDER BY e.erasure LIMIT 1
), begun AS (
  INSERT INTO tallymill.erasures (erasure, asked_by, users, sessions)
  SELECT coalesce((SELECT max(o.erasure) FROM tallymill.erasures o), 0) + 1, session_user || coalesce(' (' || nullif($3::text, '') || ')', ''), $1::bigint[], $2::text[]
  WHERE NOT EXISTS (SELECT FROM found)
  RETURNING erasure, counts
)
SELECT erasure, counts FROM found UNION ALL SELECT erasure, counts FROM begun
