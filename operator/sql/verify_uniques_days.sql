-- Where the uniques of single days, over tallymill.days (an array), are not what they must be; no row: nowhere.
--   SET tallymill.days = '{2026-11-24,2026-11-25}';
-- The row sums of a day are its distinct keys, which analytics_daily_stats has of each event name. And of the keys of a day not more can be seen again later than there were: each
-- of them has one next day. Left out are later days that are stale: the newest day is stored nowhere, so what changed on a day before it is not yet in its rows.
WITH days AS (
  SELECT d.day FROM unnest(current_setting('tallymill.days')::date[]) AS d (day)
), sums AS (
  SELECT u.date, u.subject, u.kind, u.population, sum(u.keys)::bigint AS keys FROM public.analytics_daily_uniques u
  WHERE u.date IN (SELECT day FROM days) GROUP BY 1, 2, 3, 4
), named AS (
  SELECT s.date, s.event_name::text AS subject, k.kind, k.keys
  FROM public.analytics_daily_stats s
  CROSS JOIN LATERAL (VALUES ('session', s.unique_sessions), ('user', s.unique_users)) AS k (kind, keys)
  WHERE s.date IN (SELECT day FROM days) AND k.keys > 0
    AND EXISTS (SELECT FROM tallymill.unique_subjects n WHERE n.subject = s.event_name AND n.retired_at IS NULL AND n.condition = format('event_name = %L', n.subject))
), own AS (
  SELECT s.* FROM sums s JOIN tallymill.unique_subjects n ON n.subject = s.subject
  WHERE s.population = 'external' AND n.retired_at IS NULL AND n.condition = format('event_name = %L', s.subject)
), again AS (
  SELECT u.previous_date AS date, u.subject, u.kind, u.population, sum(u.keys)::bigint AS keys FROM public.analytics_daily_uniques u
  WHERE u.previous_date IN (SELECT day FROM days) AND u.date NOT IN (SELECT n.day FROM tallymill.unique_days n WHERE n.is_stale) GROUP BY 1, 2, 3, 4
)
SELECT coalesce(o.date, n.date) AS day, coalesce(o.subject, n.subject) AS subject, coalesce(o.kind, n.kind) AS kind, 'external' AS population, 'keys' AS column_name,
       coalesce(o.keys, 0) AS have, coalesce(n.keys, 0) AS should
FROM own o FULL JOIN named n ON n.date = o.date AND n.subject = o.subject AND n.kind = o.kind
WHERE o.keys IS DISTINCT FROM n.keys
UNION ALL
SELECT a.date, a.subject, a.kind, a.population, 'keys seen again', a.keys, coalesce(s.keys, 0)
FROM again a LEFT JOIN sums s USING (date, subject, kind, population)
WHERE a.keys > coalesce(s.keys, 0)
ORDER BY 1, 2, 3, 4;
