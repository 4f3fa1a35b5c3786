-- What can be exported: its name, its table, the column by which its days are told, and what its rows are ordered by (NULL: as they lie, for a sort of all events would cost
-- more than the export). Names are quoted where they need it.
SELECT 'events' AS name, 'analytics_events' AS target, 'public.analytics_events' AS source, 'created_at' AS period, NULL AS in_order
UNION ALL
SELECT 'daily', 'analytics_daily_stats', 'public.analytics_daily_stats', 'date', 'date, event_name'
UNION ALL
(SELECT r.rollup, r.target, format('public.%I', r.target), quote_ident(r.period_column),
        (SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.number) FROM unnest(r.period_column || r.key_columns) WITH ORDINALITY AS k (name, number))
 FROM tallymill.rollups r ORDER BY r.rollup)
