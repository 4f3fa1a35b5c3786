-- The columns of analytics_events that a COPY takes, in order: generated ones are made anew.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, n.collname AS collation
FROM pg_attribute a LEFT JOIN pg_collation n ON n.oid = a.attcollation
WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
