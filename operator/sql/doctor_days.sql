-- Days whose statistics wait for a rebuild for more than ten minutes. Columns as in doctor_server.sql.
SELECT min(d.dirty_since) < clock_timestamp() - interval '1 hour' AS is_finding, 'days' AS object,
       format('%s days wait for a rebuild, the oldest since %s ago (%s)', count(*), date_trunc('second', clock_timestamp() - min(d.dirty_since)),
              string_agg(DISTINCT coalesce(d.dirty_reason, 'no reason noted'), ', ')) AS what,
       'no promise holds for their statistics, nor for the rollups of them' AS why,
       CASE WHEN EXISTS (SELECT FROM tallymill.leader l WHERE l.leader <> '' AND l.seen_at > clock_timestamp() - interval '1 minute')
            THEN format('tallymill rebuild %s..%s -- and see the log of the aggregator', min(d.day), max(d.day))
            ELSE 'systemctl restart tallymill-aggregator' END AS remedy
FROM tallymill.days d JOIN tallymill.attached_months a ON a.month = date_trunc('month', d.day::timestamp)::date
WHERE d.dirty_since < clock_timestamp() - interval '10 minutes'
HAVING count(*) > 0
