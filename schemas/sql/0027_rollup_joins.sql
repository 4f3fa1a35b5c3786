-- 0027_rollup_joins: a rollup's query joins its own parts by hash or merge, never by a nested loop where there is another way.
--
-- Of a month that was just filled and is not analyzed yet, as behind every import, the planner expects one row, whatever the query. It then joined the parts
-- of the funnel by language row by row: 8 s for one day of 20,000 events, 93 ms without. Such a query reads all events of its days in any case, so
-- a nested loop has nothing to win there; where nothing else serves (LATERAL), Postgres takes one all the same.

ALTER FUNCTION tallymill.replace_rollup(text, date[]) SET enable_nestloop = off;
ALTER FUNCTION tallymill.rollup_differences(text, date[]) SET enable_nestloop = off;
