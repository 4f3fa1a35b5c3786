-- The settled internal events from tallymill.first_day to tallymill.last_day: range_events says how to ask.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.internal_range_events AS
  SELECT (created_at AT TIME ZONE 'UTC')::date AS date, date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week,
         id, event_name, event_category, session_id, user_id, event_data, created_at, batch_id
  FROM tallymill.settled_internal_events
  WHERE created_at >= tallymill.asked_from('range') AND created_at < tallymill.asked_to('range')
    AND tallymill.is_asked('range', tallymill.asked('range'));

GRANT SELECT ON tallymill.internal_range_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
