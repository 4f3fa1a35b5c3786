-- Gives every UTC day of an attached month its row, from the last closed one to $1 (days since 1970): a day may have rows of other programs only, which nothing else announces.
INSERT INTO tallymill.days (day)
SELECT t.day FROM (SELECT date '1970-01-01' + generate_series((SELECT max(day) - date '1970-01-01' FROM tallymill.days WHERE closed_at IS NOT NULL) + 1, $1::integer)) AS t (day)
JOIN tallymill.months m ON m.month = date_trunc('month', t.day::timestamp)::date AND m.state IN ('open', 'restored')
ON CONFLICT (day) DO NOTHING
