-- What others hung on our tables: indexes, triggers, rules, publications, row security; and keys that are gone. Columns as in doctor_server.sql.
-- tallymill.doctor_indexes: the indexes that our migrations make on the events, with a space between; not set: those whose names begin as theirs.
WITH named AS (
  SELECT c.relname::text AS name FROM pg_catalog.pg_class c
  WHERE c.relname LIKE 'idx@_analytics@_events@_%' ESCAPE '@' AND c.relkind IN ('i', 'I')
    AND (coalesce(current_setting('tallymill.doctor_indexes', true), '') = '' OR c.relname = ANY (string_to_array(current_setting('tallymill.doctor_indexes', true), ' ')))
), events AS (
  SELECT 'public.analytics_events'::regclass AS relation
  UNION ALL
  SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = 'public.analytics_events'::regclass AND NOT inhdetachpending
), ours AS (
  SELECT relation, true AS is_events FROM events
  UNION ALL
  SELECT c.oid, false FROM pg_catalog.pg_class c
  WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = 'tallymill'::regnamespace OR c.oid = 'public.analytics_daily_stats'::regclass
    OR (c.relnamespace = 'public'::regnamespace AND c.relname IN (SELECT target FROM tallymill.rollups)))
)
SELECT i.indisunique OR i.indisexclusion AS is_finding, i.indexrelid::regclass::text AS object,
       format('%s %s on %s is not ours', CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, i.indexrelid::regclass, i.indrelid::regclass) AS what,
       CASE WHEN i.indisunique OR i.indisexclusion THEN 'events that it refuses become dead letters' ELSE 'every event that is stored pays for it' END AS why,
       format('DROP INDEX %s -- unless you want what it costs', i.indexrelid::regclass) AS remedy
FROM events e JOIN pg_catalog.pg_index i ON i.indrelid = e.relation JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisprimary AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
  AND c.relname NOT IN (SELECT name FROM named)
UNION ALL
-- Our own triggers call functions of the schema tallymill. Of the parent's, each table partition has a copy.
SELECT NOT o.is_events OR t.tgtype & 3 = 3, format('%s.%s', t.tgrelid::regclass, t.tgname),
       format('trigger %I on %s calls %s', t.tgname, t.tgrelid::regclass, t.tgfoid::regprocedure),
       CASE WHEN NOT o.is_events THEN 'it may keep the books from being written, and then nothing is stored'
            WHEN t.tgtype & 4 = 0 THEN 'it is paid for by whoever changes events'
            WHEN t.tgtype & 2 = 2 THEN 'it may change an event or refuse it without an error; each batch is read again to see what became of it'
            ELSE 'every event that is stored pays for it, and each batch is read again to see what became of it' END,
       format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname)
FROM ours o JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.relation JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgparentid = 0 AND p.pronamespace <> 'tallymill'::regnamespace
UNION ALL
SELECT true, format('%s.%s', r.ev_class::regclass, r.rulename), format('rule %I on %s is not ours', r.rulename, r.ev_class::regclass), 'it may store another row than the one that was sent, or none',
       format('DROP RULE %I ON %s', r.rulename, r.ev_class::regclass)
FROM ours o JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.relation WHERE r.ev_enabled <> 'D'
UNION ALL
SELECT true, c.oid::regclass::text, format('row security is on for table %s', c.oid::regclass), 'programs of ours refuse to read a table of which rows may be hidden',
       format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', c.oid::regclass)
FROM ours o JOIN pg_catalog.pg_class c ON c.oid = o.relation WHERE c.relrowsecurity
UNION ALL
SELECT DISTINCT false, 'publication ' || p.pubname, format('publication %I publishes %s%s', p.pubname, min(t.tablename::text) OVER w, CASE WHEN count(*) OVER w > 1
         THEN format(' and %s other tables of ours', count(*) OVER w - 1) ELSE '' END),
       'everything that is stored is decoded once more, and the WAL waits for its reader',
       format('DROP PUBLICATION %I -- unless somebody reads it', p.pubname)
FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
JOIN ours o ON o.relation = c.oid
WINDOW w AS (PARTITION BY p.pubname)
UNION ALL
SELECT true, g.relation::regclass::text, format('table %s has no valid primary key', g.relation::regclass), format('nothing stops the same %s twice', g.thing), g.remedy
FROM (SELECT e.relation, 'event from being stored' AS thing, format('ALTER TABLE %s ADD PRIMARY KEY (id, created_at)', e.relation::regclass) AS remedy FROM events e
      UNION ALL
      VALUES ('tallymill.batches'::regclass, 'offset from being covered', 'ALTER TABLE tallymill.batches ADD PRIMARY KEY (topic, topic_partition, first_offset)'),
             ('tallymill.dead_letters'::regclass, 'dead letter from being kept', 'ALTER TABLE tallymill.dead_letters ADD PRIMARY KEY (topic, topic_partition, kafka_offset)')) g
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = g.relation AND i.indisprimary AND i.indisvalid AND i.indisready)
