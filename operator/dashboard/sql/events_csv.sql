-- Raw events, as the variables tallymill.export_* ask for them; '' asks for all. created_at leads to the table partitions, so the limits of time stand as they are.
-- In no order: events of all users have no index by time, and a sort of all of them would keep the first row waiting, on the database's disk.
DECLARE events NO SCROLL CURSOR FOR
SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.is_internal, e.created_at, e.event_data
FROM public.analytics_events e
WHERE e.created_at >= current_setting('tallymill.export_first')::timestamptz AND e.created_at < current_setting('tallymill.export_last')::timestamptz
  AND (current_setting('tallymill.export_who') = 'all' OR e.is_internal = (current_setting('tallymill.export_who') = 'internal'))
  AND current_setting('tallymill.export_name') IN ('', e.event_name)
  AND current_setting('tallymill.export_category') IN ('', e.event_category)
  AND current_setting('tallymill.export_user') IN ('', e.user_id::text)
  AND current_setting('tallymill.export_session') IN ('', e.session_id::text)
LIMIT current_setting('tallymill.export_rows')::bigint;
