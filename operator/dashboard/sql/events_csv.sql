-- Raw events, as the variables tallymill.export_* ask for them. A line that ends in the name of a filter is left out where that was not asked for (events_csv.c): a condition that
-- holds for all events as well could use no index. created_at leads to the table partitions, so the limits of time stand as they are.
-- In no order: events of all users have no index by time, and a sort of all of them would keep the first row waiting, on the database's disk.
DECLARE events NO SCROLL CURSOR FOR
SELECT e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.is_internal, e.created_at, e.event_data
FROM public.analytics_events e
WHERE e.created_at >= current_setting('tallymill.export_first')::timestamptz AND e.created_at < current_setting('tallymill.export_last')::timestamptz
  AND NOT e.is_internal -- external
  AND e.is_internal -- internal
  AND e.event_name = current_setting('tallymill.export_name') -- name
  AND e.event_category = current_setting('tallymill.export_category') -- category
  AND e.user_id = current_setting('tallymill.export_user')::bigint -- user
  AND e.session_id = current_setting('tallymill.export_session') -- session
LIMIT current_setting('tallymill.export_rows')::bigint;
