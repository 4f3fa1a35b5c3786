-- Events by the hour (UTC) and name: today beside the same weekday of the week before.
-- target: analytics_daily_hours
-- key: date, hour, event_name
-- cadence: 1 min
-- range: yes
SELECT date, extract(hour FROM created_at AT TIME ZONE 'UTC')::integer AS hour, event_name::text AS event_name, count(*) AS events
FROM tallymill.range_events
GROUP BY 1, 2, 3
