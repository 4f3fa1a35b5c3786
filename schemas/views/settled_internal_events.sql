-- The internal events among those that the daily statistics have taken in: what settled_events is for external ones.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.settled_internal_events AS
  SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.created_at, e.batch_id
  FROM public.analytics_events e
  WHERE e.is_internal
    AND (e.batch_id IS NULL OR e.batch_id < (SELECT tallymill.unfolded_from()) OR e.batch_id NOT IN (SELECT tallymill.unfolded_batches()));

GRANT SELECT ON tallymill.settled_internal_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
