-- The settled events of one UTC day: SET tallymill.day = '2026-11-24'. Its limits are constants to the planner (asked says how), so a plan touches one month and no other.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.day_events AS
  SELECT id, event_name, event_category, session_id, user_id, event_data, created_at, batch_id FROM tallymill.settled_events
  WHERE created_at >= tallymill.asked_from('day') AND created_at < tallymill.asked_to('day') AND tallymill.is_asked('day', tallymill.asked('day'));

GRANT SELECT ON tallymill.day_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
