-- The settled internal events of the week, from Monday, that holds a UTC day: week_events says how to ask.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.internal_week_events AS
  SELECT id, event_name, event_category, session_id, user_id, event_data, created_at, batch_id FROM tallymill.settled_internal_events
  WHERE created_at >= tallymill.asked_from('week') AND created_at < tallymill.asked_to('week') AND tallymill.is_asked('week', tallymill.asked('week'));

GRANT SELECT ON tallymill.internal_week_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
