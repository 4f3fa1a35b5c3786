-- The materialized views whose newest refresh failed: its error, how long ago it was, and since when their figures stand (NULL: no refresh is known that did not fail).
SELECT r.view, r.error, extract(epoch FROM clock_timestamp() - r.started_at)::float8 AS ago_s,
       (SELECT extract(epoch FROM clock_timestamp() - max(g.started_at))::float8 FROM tallymill.refreshes g WHERE g.view = r.view AND g.error IS NULL) AS good_s
FROM (SELECT DISTINCT ON (view) view, started_at, error FROM tallymill.refreshes ORDER BY view, started_at DESC) r
WHERE r.error IS NOT NULL ORDER BY r.view;
