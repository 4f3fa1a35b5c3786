-- What makes the query of view tallymill.rollup_query no rollup, a row for each fault: which word of the query shows it, and why. No row: none.
-- tallymill.query is set to the query as it stands in its file. The reading of `day_events` and what else depends on tallymill.day is fine: the aggregator sets it.
--
-- A query must give the same rows whenever it is run over the same events. So it is looked at as Postgres has parsed it, and so are the views
-- and the functions that it uses: for functions that tell the time (now() and its like), that are volatile (random()), for samples, and for who is asking.
-- Of a function in SQL or PL/pgSQL the text is read: nobody declares those, so VOLATILE says nothing.
-- 'now'::timestamptz and its like are constants by then: they are those quoted words that did not become a text.
WITH RECURSIVE used (kind, id, word) AS (
  SELECT 'view', to_regclass('tallymill.rollup_query')::oid, NULL::text COLLATE "C"
  UNION
  SELECT n.kind, n.id, coalesce(u.word, CASE n.kind WHEN 'view' THEN (SELECT relname FROM pg_class WHERE oid = n.id)
                                                    ELSE (SELECT proname FROM pg_proc WHERE oid = n.id) END)
  FROM used u
  CROSS JOIN LATERAL (SELECT CASE u.kind WHEN 'view' THEN (SELECT string_agg(w.ev_action::text, '') FROM pg_rewrite w WHERE w.ev_class = u.id AND w.ev_type = '1')
                                         ELSE (SELECT p.prosqlbody::text FROM pg_proc p WHERE p.oid = u.id) END AS tree) t
  CROSS JOIN LATERAL (SELECT CASE m[1] WHEN 'relid' THEN 'view' ELSE 'function' END AS kind, m[2]::oid AS id
                      FROM regexp_matches(t.tree, ':(relid|funcid|aggfnoid|winfnoid) (\d+)', 'g') AS m) n
  WHERE n.id NOT IN (0, to_regclass('tallymill.rollup_query')) -- every view names itself
), trees AS (
  SELECT u.id, u.word, CASE u.kind WHEN 'view' THEN (SELECT string_agg(w.ev_action::text, '') FROM pg_rewrite w WHERE w.ev_class = u.id AND w.ev_type = '1')
                             ELSE (SELECT p.prosqlbody::text FROM pg_proc p WHERE p.oid = u.id) END AS tree
  FROM used u
), called AS (
  SELECT coalesce(u.word, p.proname) AS word, p.proname, p.provolatile = 'v' AND p.prorettype <> 'void'::regtype AS is_volatile, p.pronamespace = 'pg_catalog'::regnamespace AS is_builtin, l.lanname, p.prosrc
  FROM used u JOIN pg_proc p ON p.oid = u.id JOIN pg_language l ON l.oid = p.prolang
  WHERE u.kind = 'function'
), text_of_query AS (
  SELECT regexp_replace(regexp_replace(current_setting('tallymill.query', true), '/\*.*?\*/', '', 'g'), '--[^\n]*', '', 'g') AS query
), time_words AS (
  SELECT DISTINCT m[1] AS word FROM text_of_query, regexp_matches(query, '''(\s*(?:now|today|tomorrow|yesterday)\s*)''', 'gi') AS m
), faults (word, fault) AS (
  SELECT word, format('%s() gives another result each time it is asked', proname)
  FROM called WHERE is_builtin AND (is_volatile OR proname IN ('now', 'transaction_timestamp', 'statement_timestamp'))
  UNION ALL
  SELECT word, format('function %s() tells the time, draws a sample, or gives something else that is another each time it is asked', proname)
  FROM called
  WHERE NOT is_builtin AND lanname IN ('sql', 'plpgsql')
    AND prosrc ~* '\m(now|transaction_timestamp|statement_timestamp|clock_timestamp|timeofday|random|gen_random_uuid)\s*\(|\m(current_date|current_time|current_timestamp|localtime|localtimestamp|tablesample)\M'
  UNION ALL
  SELECT word, format('function %s() is declared VOLATILE: it may give another result each time it is asked (if it never does, ALTER FUNCTION ... STABLE says so)', proname)
  FROM called WHERE NOT is_builtin AND is_volatile AND lanname NOT IN ('sql', 'plpgsql')
  UNION ALL
  SELECT coalesce(word, 'tablesample'), 'TABLESAMPLE takes other rows each time it is asked' FROM trees WHERE tree LIKE '%{TABLESAMPLECLAUSE %'
  UNION ALL
  SELECT coalesce(t.word, n.name), format('%s is another each time it is asked, or for each login', n.name)
  FROM trees t
  CROSS JOIN LATERAL (SELECT (ARRAY['current_date', 'current_time', 'current_time', 'current_timestamp', 'current_timestamp', 'localtime', 'localtime',
                                    'localtimestamp', 'localtimestamp', 'current_role', 'current_user', 'user', 'session_user'])[m[1]::integer + 1] AS name
                      FROM regexp_matches(t.tree, '\{SQLVALUEFUNCTION :op (\d+)', 'g') AS m) n
  WHERE n.name IS NOT NULL
  UNION ALL
  SELECT trim(w.word), format('''%s'' is the time at which the query runs', trim(w.word))
  FROM time_words w, trees t
  WHERE t.id = to_regclass('tallymill.rollup_query') AND NOT EXISTS ( -- of a text's constant the tree shows the bytes
      SELECT FROM regexp_matches(t.tree, ':consttype (?:25|1043|1042) [^{}]*?:constvalue \d+ \[ ([-\d ]+) \]', 'g') AS m
      WHERE m[1] LIKE '% ' || (SELECT string_agg(get_byte(convert_to(w.word, 'UTF8'), i)::text, ' ' ORDER BY i)
                               FROM generate_series(0, octet_length(w.word) - 1) AS i))
), parts (column_name, type) AS (
  SELECT a.attname::text, a.atttypid FROM pg_attribute a WHERE a.attrelid = to_regclass('tallymill.rollup_query') AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT p.column_name, n.type
  FROM parts p JOIN pg_type t ON t.oid = p.type
  CROSS JOIN LATERAL (
    SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT t.typelem WHERE t.typsubscript = 'array_subscript_handler'::regproc
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS n (type)
), uncomparable AS (
  SELECT p.column_name, p.type FROM parts p JOIN pg_type t ON t.oid = p.type
  WHERE t.typtype = 'b' AND t.typsubscript <> 'array_subscript_handler'::regproc
    AND NOT EXISTS (SELECT FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod
                    WHERE a.amname IN ('btree', 'hash') AND o.opcdefault
                      AND (o.opcintype = p.type OR EXISTS (SELECT FROM pg_cast c WHERE c.castsource = p.type AND c.casttarget = o.opcintype AND c.castmethod = 'b' AND c.castcontext = 'i')))
)
SELECT word, fault || ': a rollup depends on the events of its days only, and on tallymill.day' AS fault FROM faults
UNION ALL
SELECT column_name, format('column %s has a value of type %s, which has no equality, so nobody can tell whether it changed: jsonb or text have one', column_name, format_type(type, NULL))
FROM uncomparable;
