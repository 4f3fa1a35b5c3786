-- The months whose rows are to be read, as this snapshot shows them: by their state and by the catalogue. Where the two differ, somebody has detached the month's table
-- (`tallymill audit` names it): its days wait until it is attached again, or archived. One that is about to leave (detaching) counts as long as it is there: what a worker commits into it
-- meanwhile is in the statistics.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.attached_months AS
  SELECT m.month FROM tallymill.month_leaves m
  WHERE m.state IN ('open', 'restored', 'detaching')
    AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = m.leaf AND i.inhparent = 'public.analytics_events'::regclass AND NOT i.inhdetachpending);

GRANT SELECT ON tallymill.attached_months TO tallymill_aggregate, tallymill_read;

RESET ROLE;
