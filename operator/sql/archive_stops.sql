-- What would keep a month from leaving for as long as it is there, each with what to do; a row for each. In psql:
--   SET tallymill.month = '2025-01-01';
-- With the table goes what is a part of it, or of such a part: its indexes, keys, defaults, its row type. Postgres drops none under anything else that was made on it.
WITH RECURSIVE asked AS (
  SELECT tallymill.month_table(current_setting('tallymill.month')::date) AS leaf
), parts (classid, objid) AS (
  SELECT 'pg_class'::regclass::oid, q.leaf::oid FROM asked q
  UNION
  SELECT d.classid, d.objid FROM parts p JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid WHERE d.deptype IN ('a', 'i', 'P', 'S') AND d.objsubid = 0
), standing AS (
  SELECT DISTINCT CASE WHEN v.oid IS NOT NULL THEN pg_describe_object('pg_class'::regclass, v.oid, 0) ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END AS name
  FROM parts p
  JOIN pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid AND d.deptype = 'n'
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
  LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
  WHERE NOT EXISTS (SELECT FROM parts x WHERE x.classid = d.classid AND x.objid = d.objid)
    AND coalesce(k.conparentid, 0) = 0 -- a part of a key to analytics_events, which the detach asks by itself
)
SELECT stop FROM (
  SELECT 1 AS place, format('table %s is DEFAULT, beside which no month can be detached: tallymill audit gives the statements that take it out', p.partdefid::regclass) AS stop
  FROM pg_partitioned_table p WHERE p.partrelid = 'public.analytics_events'::regclass AND p.partdefid <> 0
  UNION ALL
  SELECT 2, format('%s stands on table %s, which could not be dropped under it: make it anew on analytics_events, or DROP it', s.name, q.leaf) FROM asked q, standing s
) AS stops ORDER BY place, stop
