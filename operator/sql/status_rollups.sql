-- How the rollups stand, and the days of uniques among them: one row. Periods are days (weeks of a weekly rollup) of attached months. waiting: computed never, or not since their
-- events changed, and due (due_rollups() says when); left_us: how long that takes at the pace of the last minute, NULL: nobody knows. not_due: their events changed, and their cadence
-- gives them time. failed: those whose query failed, the newest of which is named with its error. slowest: by its last run.
SELECT (SELECT count(*) FROM tallymill.rollups WHERE retired_at IS NULL) AS rollups,
       count(*) AS periods,
       count(*) FILTER (WHERE p.is_stale AND p.is_due) AS waiting,
       count(*) FILTER (WHERE p.is_stale AND NOT p.is_due) AS not_due,
       count(*) FILTER (WHERE p.ran_at > clock_timestamp() - interval '1 minute') AS done_last_minute,
       CASE WHEN count(*) FILTER (WHERE p.is_stale AND p.is_due) = 0 THEN 0
            ELSE (60000000 * count(*) FILTER (WHERE p.is_stale AND p.is_due)
                  / nullif(count(*) FILTER (WHERE p.ran_at > clock_timestamp() - interval '1 minute'), 0))::bigint END AS left_us,
       count(*) FILTER (WHERE p.is_stale AND p.failed_at IS NOT NULL) AS failed,
       (array_agg(p.rollup || ' of ' || p.first_day || ': ' || p.error ORDER BY p.failed_at DESC) FILTER (WHERE p.is_stale AND p.failed_at IS NOT NULL))[1]
         AS failure,
       (extract(epoch FROM clock_timestamp() - max(p.ran_at)) * 1000000)::bigint AS ran_age_us,
       (array_agg(p.rollup || ' of ' || p.first_day ORDER BY p.took_us DESC) FILTER (WHERE p.took_us IS NOT NULL))[1] AS slowest,
       max(p.took_us) AS slowest_us
FROM (SELECT o.rollup, o.first_day, o.is_stale, o.ran_at, o.failed_at, o.error, o.took_us,
             o.ran_at IS NULL OR o.is_new OR o.closed_at > o.ran_at OR o.ran_at + o.cadence <= clock_timestamp() AS is_due
      FROM tallymill.rollup_periods o
      UNION ALL
      SELECT 'uniques', u.day, u.is_stale, u.ran_at, u.failed_at, u.error, u.took_us,
             u.ran_at IS NULL OR u.closed_at > u.ran_at OR u.ran_at + u.cadence <= clock_timestamp()
      FROM tallymill.unique_days u) p;
