-- How many rows of the asked days are stored but not in the statistics yet (all rows of a batch that names one of these days). In psql
-- the range may be given first:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-30';
WITH asked AS (
  SELECT coalesce(nullif(current_setting('tallymill.first_day', true), '')::date, '-infinity') AS first_day,
         coalesce(nullif(current_setting('tallymill.last_day', true), '')::date, 'infinity') AS last_day
)
SELECT coalesce(sum(u.stored), 0)::bigint AS pending_rows
FROM asked a JOIN tallymill.unfolded u ON EXISTS (SELECT FROM unnest(u.days) AS d (day) WHERE d.day BETWEEN a.first_day AND a.last_day);
