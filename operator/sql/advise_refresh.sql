-- The slowest of the newest refresh of each view.
SELECT max(took_us) / 1000.0 AS refresh_ms
FROM (SELECT DISTINCT ON (view) took_us FROM tallymill.refreshes WHERE error IS NULL ORDER BY view, started_at DESC) AS newest;
