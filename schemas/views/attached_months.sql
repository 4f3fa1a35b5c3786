-- The months whose rows are to be read, as this snapshot shows them: by their state and by the catalogue. Where the two differ, somebody has detached the month's table
-- (`tallymill audit` names it): its days wait until it is attached again, or archived. One that is about to leave (detaching) counts as long as it is there: what a worker commits into it
-- meanwhile is in the statistics. A month that was made by hand is known by its table, ours by their names.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.attached_months AS
  SELECT m.month FROM tallymill.months m
  WHERE m.state IN ('open', 'restored', 'detaching')
    AND EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending
                  AND (c.oid = m.leaf OR (m.leaf IS NULL AND c.relnamespace = 'public'::regnamespace
                                          AND c.relname = 'analytics_events_' || to_char(m.month, 'YYYY_MM'))));

GRANT SELECT ON tallymill.attached_months TO tallymill_aggregate, tallymill_read;

RESET ROLE;
