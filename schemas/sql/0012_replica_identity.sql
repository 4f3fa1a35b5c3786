-- A publication of all tables (as Debezium makes it) refuses UPDATE and DELETE of a table that has nothing by which a subscriber knows its rows, and so tallymill.renew_topic: rows that
-- left on purpose have no key, and may be alike.

SET ROLE tallymill_admin;

ALTER TABLE tallymill.removals REPLICA IDENTITY FULL;

RESET ROLE;
