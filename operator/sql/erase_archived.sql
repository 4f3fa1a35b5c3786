-- Months whose events cannot be read where they are.
SELECT to_char(m.month, 'YYYY-MM') AS month, m.state FROM tallymill.months m
WHERE NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month) ORDER BY m.month
