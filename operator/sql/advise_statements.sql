-- Dashboard queries as pg_stat_statements saw them, the slowest first: mean + 1.645 standard deviations, where a p95 lies if the times are normal (it keeps no percentiles).
-- is_own: run by this login or by a superuser. Only such a text is planned here, for planning runs what it calls with our rights; and by the names of Postgres and the table alone.
SELECT s.query, regexp_replace(s.query, '(?<![.\w])analytics_events\M', 'public.analytics_events', 'g') AS named_query, s.calls, s.mean_exec_time AS mean_ms, s.mean_exec_time + 1.645 * s.stddev_exec_time AS p95_ms, r.rolname AS login,
       coalesce(s.userid = (SELECT oid FROM pg_roles WHERE rolname = current_user) OR r.rolsuper, false) AS is_own
FROM pg_stat_statements s
LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.calls >= 20
  AND s.query ~ '\manalytics_events(_\d{4}_\d{2})?\M' AND s.query ~* '^\s*(SELECT|WITH)\M' AND s.query !~ '\mtallymill\.' AND s.query !~ 'tallymill advise'
ORDER BY p95_ms DESC LIMIT 3;
