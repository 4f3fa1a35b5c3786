-- Where month $1 (its first day) stands: its table, and the newest archive of it that is not superseded.
SELECT m.state, tallymill.month_table(m.month)::text AS table_name, coalesce(NOT i.inhdetachpending, false) AS is_attached, coalesce(i.inhdetachpending, false) AS is_pending,
       c.relkind = 'r' AS is_plain, pg_has_role('tallymill_admin', c.relowner, 'USAGE') AS is_owned, pg_get_userbyid(c.relowner) AS owner,
       a.generation, a.target, a.state AS archive_state, a.rows, a.foreign_rows, a.row_hash, a.server_hash, a.manifest_sha256, a.bytes,
       (SELECT coalesce(max(o.generation), 0) + 1 FROM tallymill.archives o WHERE o.month = m.month) AS next_generation
FROM tallymill.months m
LEFT JOIN pg_class c ON c.oid = tallymill.month_table(m.month)
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'public.analytics_events'::regclass
LEFT JOIN LATERAL (SELECT * FROM tallymill.archives o WHERE o.month = m.month AND o.state <> 'superseded' ORDER BY o.generation DESC LIMIT 1) a ON true
WHERE m.month = $1::date
