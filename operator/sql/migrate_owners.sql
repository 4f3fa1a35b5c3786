-- Objects of ours that another than tallymill_admin owns, as a restore with --no-owner leaves them: what, whose, whether the current user may give them back, and how.
SELECT o.what, pg_get_userbyid(o.owner) AS owner,
       bool_and(pg_has_role(current_user, o.owner, 'USAGE')) OVER () AND pg_has_role(current_user, 'tallymill_admin', 'USAGE') AS may_give,
       o.statement
FROM (
  SELECT 0 AS step, 'schema tallymill' AS what, n.nspowner AS owner, 'ALTER SCHEMA tallymill OWNER TO tallymill_admin' AS statement
  FROM pg_namespace n WHERE n.nspname = 'tallymill'
  UNION ALL
  SELECT 1, format('%s %s', k.kind, c.oid::regclass), c.relowner, format('ALTER %s %s OWNER TO tallymill_admin', upper(k.kind), c.oid::regclass)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind) k
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'i')
    AND (n.nspname = 'tallymill'
         OR (n.nspname = 'public' AND c.relname IN ('analytics_events', 'analytics_daily_stats', 'analytics_daily_uniques', 'analytics_view_daily', 'analytics_view_funnel',
                                                    'analytics_view_conversion', 'analytics_view_performance'))
         OR (n.nspname = 'public' AND obj_description(c.oid, 'pg_class') LIKE 'Rollup % of tallymill.rollups%')
         OR (n.nspname = 'public' AND c.relname ~ '^analytics_events_[0-9]{4}_[0-9]{2}$'
             AND EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
                         WHERE i.inhrelid = c.oid AND p.oid = to_regclass('public.analytics_events') AND p.relowner = c.relowner)))
  UNION ALL
  SELECT 2, format('function %s', p.oid::regprocedure), p.proowner, format('ALTER FUNCTION %s OWNER TO tallymill_admin', p.oid::regprocedure)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'tallymill'
) o
WHERE pg_get_userbyid(o.owner) <> 'tallymill_admin'
ORDER BY o.step, o.what;
