-- What a rollup's query reads: the external events that the daily statistics hold, so that the two always agree. Rows of batches beyond
-- `folded` are left out.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.settled_events AS
  SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.created_at, e.batch_id
  FROM public.analytics_events e
  WHERE e.is_internal = FALSE
    AND (e.batch_id IS NULL OR e.batch_id < (SELECT tallymill.unfolded_from()) OR e.batch_id NOT IN (SELECT tallymill.unfolded_batches()));

GRANT SELECT ON tallymill.settled_events TO tallymill_aggregate, tallymill_read;

RESET ROLE;
