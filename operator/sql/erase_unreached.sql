-- Months whose events can be read neither where they are nor in an archive. One of which nothing was kept (archive.target = none) has none.
SELECT to_char(m.month, 'YYYY-MM') AS month, m.state FROM tallymill.months m
WHERE NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = m.month)
  AND NOT (m.state = 'archived' AND EXISTS (SELECT FROM tallymill.archives a WHERE a.month = m.month AND a.state = 'dropped'))
ORDER BY m.month
