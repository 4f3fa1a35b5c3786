-- Gives every UTC day of an attached month its row, from the last closed one to $1 (days since 1970):
-- a day may have rows of other programs only, which nothing else announces.
INSERT INTO tallymill.days (day)
SELECT t.day
FROM generate_series((SELECT max(day) + 1 FROM tallymill.days WHERE closed_at IS NOT NULL), date '1970-01-01' + $1::integer, '1 day') AS s (at)
CROSS JOIN LATERAL (SELECT s.at::date AS day) t
JOIN tallymill.months m ON m.month = date_trunc('month', t.day::timestamp)::date AND m.state IN ('open', 'restored', 'detaching')
ON CONFLICT (day) DO NOTHING
