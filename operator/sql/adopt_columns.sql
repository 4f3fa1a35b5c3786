-- How each column of the old table is taken over.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS kind,
       CASE WHEN a.attname = 'id' AND a.atttypid = 'uuid'::regtype THEN 'as it is'
            WHEN a.attname = 'id' THEN 'uuid, by tallymill.adopted_id(id)'
            WHEN a.attname IN ('event_name', 'event_category', 'session_id') THEN 'text that compares as bytes'
            WHEN a.attname = 'user_id' THEN 'bigint'
            WHEN a.attname = 'event_data' THEN 'jsonb' || CASE WHEN a.attnotnull THEN '' ELSE ', {} where it is NULL; afterwards an INSERT of NULL is refused' END
            WHEN a.attname = 'is_internal' THEN 'boolean' || CASE WHEN a.attnotnull THEN '' ELSE ', false where it is NULL; afterwards an INSERT of NULL is refused' END
            WHEN a.attname = 'created_at' THEN 'timestamp with time zone'
            ELSE 'kept as a column of its own' || CASE WHEN a.attnotnull THEN ', which may be NULL' ELSE '' END END AS becomes
FROM pg_attribute a WHERE a.attrelid = 'public.analytics_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
