-- Days whose rows cannot be read ($1 date[]): they wait until their month is attached again. Those of a month that was archived keep what they have.
INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
SELECT n.day, clock_timestamp(), 'its month was not attached' FROM unnest($1::date[]) AS n (day)
WHERE NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', n.day::timestamp)::date AND m.state = 'archived')
GROUP BY n.day
ON CONFLICT (day) DO UPDATE SET dirty_since = excluded.dirty_since, dirty_reason = excluded.dirty_reason WHERE d.dirty_since IS NULL
