-- The table of each month in the books, as this snapshot shows it: a month that was made by hand is known by its table, ours by their names. leaf NULL: there is none.
-- One look by index for each month (a join on "its table or its name" compared every month with every table: 60 ms at 260 months, in each cycle).
-- `public` is looked up when the view is read: while `tallymill adopt` makes it, another schema has that name.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.month_leaves AS
  SELECT m.month, m.state,
         coalesce(m.leaf::oid, (SELECT c.oid FROM pg_class c WHERE c.relnamespace = to_regnamespace('public')
                                  AND c.relname = ('analytics_events_' || to_char(m.month::timestamp, 'YYYY_MM'))::name)) AS leaf
  FROM tallymill.months m;

GRANT SELECT ON tallymill.month_leaves TO tallymill_aggregate, tallymill_read;

RESET ROLE;
