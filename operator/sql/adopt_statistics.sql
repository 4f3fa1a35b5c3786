-- The query that compares the statistics that somebody else kept with ours, and what it compares; no row: there are none, or they have not the plan's columns. Before the swap ours are
-- made from the rows of the old table, after it they are those of the aggregator, but for days that wait for it and those from the swap on. $1: the zone of a created_at that has none.
WITH place AS (
  SELECT s.oid AS theirs, is_after, e.oid AS events
  FROM (SELECT to_regclass('public.analytics_daily_stats_before') IS NOT NULL AND to_regclass('tallymill_adopt.state') IS NOT NULL AS is_after) w
  CROSS JOIN LATERAL (SELECT to_regclass(CASE WHEN is_after THEN 'public.analytics_daily_stats_before' ELSE 'public.analytics_daily_stats' END)::oid AS oid) s
  CROSS JOIN LATERAL (SELECT to_regclass('public.analytics_events')::oid AS oid) e
  WHERE s.oid IS NOT NULL
), columns AS (
  SELECT a.attrelid = p.events AS is_of_events, a.attname AS name, format_type(a.atttypid, NULL) AS kind FROM place p JOIN pg_attribute a ON a.attrelid IN (p.events, p.theirs)
  WHERE a.attnum > 0 AND NOT a.attisdropped
), figures AS (
  SELECT f.name, f.raw FROM (VALUES ('event_count', 'count(*)', NULL), ('unique_sessions', 'count(DISTINCT o.session_id)', 'session_id'), ('unique_users', 'count(DISTINCT o.user_id)', 'user_id')) AS f (name, raw, needs)
  WHERE EXISTS (SELECT FROM columns c WHERE NOT c.is_of_events AND c.name = f.name AND c.kind IN ('smallint', 'integer', 'bigint', 'numeric'))
    AND (f.needs IS NULL OR EXISTS (SELECT FROM columns c WHERE c.is_of_events AND c.name = f.needs))
), said AS (
  SELECT string_agg(format('t.%I::bigint AS %1$I', name), ', ') AS theirs, string_agg(format('%s AS %I', raw, name), ', ') AS raw, string_agg(quote_ident(name), ', ') AS names,
         string_agg(format('t.%I', name), ', ') AS t, string_agg(format('o.%I', name), ', ') AS o,
         string_agg(format('CASE WHEN t.%I IS DISTINCT FROM o.%1$I THEN format('' %1$s %%s, ours %%s'', t.%1$I, o.%1$I) END', name), ', ') AS texts
  FROM figures
), ours AS (
  SELECT CASE WHEN p.is_after THEN format('SELECT date, event_name::text COLLATE "C" AS event_name, %s FROM public.analytics_daily_stats WHERE event_count > 0', s.names)
              ELSE format('SELECT (%s AT TIME ZONE ''UTC'')::date AS date, o.event_name::text COLLATE "C" AS event_name, %s FROM public.analytics_events o%s GROUP BY 1, 2',
                          CASE WHEN EXISTS (SELECT FROM columns c WHERE c.is_of_events AND c.name = 'created_at' AND c.kind = 'timestamp without time zone')
                               THEN format('(o.created_at AT TIME ZONE %L)', CASE WHEN $1 = '' THEN 'UTC' ELSE $1 END) ELSE 'o.created_at' END,
                          s.raw, CASE WHEN EXISTS (SELECT FROM columns c WHERE c.is_of_events AND c.name = 'is_internal') THEN ' WHERE o.is_internal IS NOT TRUE' ELSE '' END) END AS query,
         CASE WHEN p.is_after THEN 'SELECT d.day FROM tallymill.days d WHERE d.dirty_since IS NOT NULL' ELSE 'SELECT NULL::date AS day WHERE false' END AS waiting,
         CASE WHEN p.is_after THEN '(SELECT (s.swapped_at AT TIME ZONE ''UTC'')::date FROM tallymill_adopt.state s)' ELSE '''infinity''::date' END AS until
  FROM place p CROSS JOIN said s
)
SELECT p.theirs::regclass::text AS theirs, p.is_after,
       format($query$
         WITH waiting AS MATERIALIZED (%1$s), compared AS (
           SELECT coalesce(t.date, o.date) AS date, coalesce(t.event_name, o.event_name) AS event_name, t.date IS NULL AS is_ours, o.date IS NULL AS is_theirs,
                  ROW(%2$s) IS DISTINCT FROM ROW(%3$s) AS differs, concat_ws(',', %4$s) AS text
           FROM (SELECT t.date::date AS date, t.event_name::text COLLATE "C" AS event_name, %5$s FROM %6$s t) t FULL JOIN (%7$s) o ON o.date = t.date AND o.event_name = t.event_name
           WHERE coalesce(t.date, o.date) NOT IN (SELECT w.day FROM waiting w) AND coalesce(t.date, o.date) < %8$s
         )
         SELECT count(*) AS rows, count(*) FILTER (WHERE is_theirs) AS only_theirs, count(*) FILTER (WHERE is_ours) AS only_ours,
                count(*) FILTER (WHERE differs AND NOT is_theirs AND NOT is_ours) AS differing, count(DISTINCT date) FILTER (WHERE differs) AS days,
                (SELECT count(*) FROM waiting) AS waiting,
                (SELECT string_agg(x.line, E'\n' ORDER BY x.date DESC, x.event_name)
                 FROM (SELECT date, event_name, format('%%s %%s:%%s', date, event_name, CASE WHEN is_theirs THEN ' only in the old ones' WHEN is_ours THEN ' not in the old ones' ELSE text END) AS line
                       FROM compared WHERE differs ORDER BY date DESC, event_name LIMIT 5) x) AS lines
         FROM compared$query$, o.waiting, s.t, s.o, s.texts, s.theirs, p.theirs::regclass, o.query, o.until) AS query
FROM place p CROSS JOIN said s CROSS JOIN ours o
WHERE s.names IS NOT NULL AND EXISTS (SELECT FROM columns c WHERE NOT c.is_of_events AND c.name = 'date' AND c.kind ~ '^(date|timestamp)')
  AND EXISTS (SELECT FROM columns c WHERE NOT c.is_of_events AND c.name = 'event_name');
