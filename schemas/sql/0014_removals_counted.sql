-- tallymill.enter_removals counts rows that are newer than a snapshot, where it took their hash; no program calls it, only functions do.

SET ROLE tallymill_admin;

DROP FUNCTION IF EXISTS tallymill.enter_removals(date, regclass, text);

RESET ROLE;
