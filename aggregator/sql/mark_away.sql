-- Days whose rows cannot be read ($1 date[]): they wait until their month is attached again. Those of a month that was archived keep what they have.
SELECT tallymill.mark_days(array_agg(DISTINCT n.day), array_fill('its month was not attached'::text, ARRAY[count(DISTINCT n.day)::integer]))
FROM unnest($1::date[]) AS n (day)
WHERE NOT EXISTS (SELECT FROM tallymill.months m WHERE m.month = date_trunc('month', n.day::timestamp)::date AND m.state = 'archived')
HAVING count(*) > 0
