-- Rollups whose query failed, and those that are out of date for longer than their cadence: by a quarter of an hour, or at all where no aggregator leads. Columns as in
-- doctor_server.sql.
WITH led AS (
  SELECT l.leader <> '' AND l.seen_at > clock_timestamp() - interval '1 minute'
         AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'tallymill-aggregator') AS is_led FROM tallymill.leader l
), stale AS (
  SELECT p.rollup, p.first_day, p.error, p.failed_at,
         coalesce(p.ran_at + p.cadence, r.defined_at) < clock_timestamp() - CASE WHEN l.is_led THEN interval '15 minutes' ELSE interval '0' END AND NOT p.is_dirty AS is_late,
         clock_timestamp() - coalesce(p.ran_at, r.defined_at) AS age
  FROM tallymill.rollup_periods p JOIN tallymill.rollups r ON r.rollup = p.rollup CROSS JOIN led l
  WHERE p.is_stale
)
SELECT true AS is_finding, 'rollup ' || s.rollup AS object,
       format('rollup %s failed for %s days or weeks, the last %s: %s', s.rollup, count(*), (array_agg(s.first_day ORDER BY s.failed_at DESC))[1],
              (array_agg(s.error ORDER BY s.failed_at DESC))[1]) AS what,
       'its table shows what it was before' AS why,
       'tallymill migrate -- once its file is mended, or what it reads is there again' AS remedy
FROM stale s WHERE s.failed_at IS NOT NULL GROUP BY s.rollup
UNION ALL
SELECT true, 'rollup ' || s.rollup,
       format('rollup %s is out of date for %s days or weeks from %s on, the oldest for %s', s.rollup, count(*), min(s.first_day), date_trunc('second', max(s.age))),
       CASE WHEN l.is_led THEN 'the aggregator does not come to it: others take its time (rollups.share), or its query takes long'
            ELSE 'no aggregator leads, so nobody computes it' END,
       CASE WHEN l.is_led THEN format('tallymill rebuild %s..%s -- and see the log of the aggregator', min(s.first_day), max(s.first_day))
            ELSE 'systemctl restart tallymill-aggregator' END
FROM stale s CROSS JOIN led l WHERE s.is_late AND s.failed_at IS NULL GROUP BY s.rollup, l.is_led
