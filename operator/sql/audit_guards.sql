-- Damage: a month that is not part of analytics_events though it should be (its rows are in nobody's view), and keys that keep
-- an event, an offset or a dead letter from being stored twice, but are missing or invalid; and table partitions that are no month (of kind "note": what a month that
-- somebody made by hand lacks, which is no damage). No row: all is well.
WITH leaves AS (
  SELECT inhrelid AS relation FROM pg_inherits WHERE inhparent = 'public.analytics_events'::regclass AND NOT inhdetachpending
), guarded AS (
  SELECT relation, 'stored' AS fate, 'event' AS thing FROM leaves
  UNION ALL
  SELECT 'tallymill.batches'::regclass, 'covered', 'offset'
  UNION ALL
  SELECT 'tallymill.dead_letters'::regclass, 'kept', 'dead letter'
)
SELECT 'month not attached' AS kind, NULL AS topic, NULL::integer AS topic_partition, NULL::bigint AS first_offset,
       NULL::bigint AS next_offset, NULL::bigint AS batch_id, month AS day,
       format('month %s is %s in tallymill.months, but the table %s is not part of analytics_events', to_char(month, 'YYYY-MM'),
              state, coalesce(leaf::text, 'analytics_events_' || to_char(month, 'YYYY_MM'))) AS damage
FROM tallymill.months
WHERE state IN ('open', 'restored') AND NOT EXISTS (SELECT FROM tallymill.attached_months a WHERE a.month = months.month)
UNION ALL
SELECT CASE WHEN is_damage THEN 'rows outside of months' ELSE 'note' END, NULL, NULL, NULL, NULL, NULL, NULL, trouble
FROM tallymill.month_troubles()
UNION ALL
SELECT 'key missing', NULL, NULL, NULL, NULL, NULL, NULL,
       format('table %s has no valid primary key: nothing stops the same %s from being %s twice', relation::regclass, thing, fate)
FROM guarded
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisprimary AND i.indisvalid AND i.indisready);
