-- The settled internal events of one UTC day: day_events says how to ask.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.internal_day_events AS
  SELECT id, event_name, event_category, session_id, user_id, event_data, created_at, batch_id FROM tallymill.settled_internal_events
  WHERE created_at >= tallymill.asked_from('day') AND created_at < tallymill.asked_to('day') AND tallymill.is_asked('day', tallymill.asked('day'));

GRANT SELECT ON tallymill.internal_day_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
