-- How the rollups stand: one row. Periods are days (weeks of a weekly rollup) of attached months. waiting: computed never, or not since their
-- events changed; left_us: how long that takes at the pace of the last minute, NULL: nobody knows. failed: those of them whose query failed, the newest of which is named with its error. slowest: by its last run.
SELECT (SELECT count(*) FROM tallymill.rollups WHERE retired_at IS NULL) AS rollups,
       count(*) AS periods,
       count(*) FILTER (WHERE p.is_stale) AS waiting,
       count(*) FILTER (WHERE p.ran_at > clock_timestamp() - interval '1 minute') AS done_last_minute,
       CASE WHEN count(*) FILTER (WHERE p.is_stale) = 0 THEN 0
            ELSE (60000000 * count(*) FILTER (WHERE p.is_stale)
                  / nullif(count(*) FILTER (WHERE p.ran_at > clock_timestamp() - interval '1 minute'), 0))::bigint END AS left_us,
       count(*) FILTER (WHERE p.is_stale AND p.failed_at IS NOT NULL) AS failed,
       (array_agg(p.rollup || ' of ' || p.first_day || ': ' || p.error ORDER BY p.failed_at DESC) FILTER (WHERE p.is_stale AND p.failed_at IS NOT NULL))[1]
         AS failure,
       (extract(epoch FROM clock_timestamp() - max(p.ran_at)) * 1000000)::bigint AS ran_age_us,
       (array_agg(p.rollup || ' of ' || p.first_day ORDER BY p.took_us DESC) FILTER (WHERE p.took_us IS NOT NULL))[1] AS slowest,
       max(p.took_us) AS slowest_us
FROM tallymill.rollup_periods p;
