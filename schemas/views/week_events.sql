-- The settled events of the week from Monday to Sunday that holds a UTC day: SET tallymill.day = '2026-11-24'. Its limits are constants to the planner (asked says how).

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.week_events AS
  SELECT id, event_name, event_category, session_id, user_id, event_data, created_at, batch_id FROM tallymill.settled_events
  WHERE created_at >= tallymill.asked_from('week') AND created_at < tallymill.asked_to('week') AND tallymill.is_asked('week', tallymill.asked('week'));

GRANT SELECT ON tallymill.week_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
