-- The days from tallymill.first_day to tallymill.last_day on which other programs have rows that the statistics have not seen. In psql:
--   SET tallymill.first_day = '2026-11-01'; SET tallymill.last_day = '2026-11-24';
WITH asked AS (
  SELECT nullif(current_setting('tallymill.first_day', true), '')::date AS first_day,
         nullif(current_setting('tallymill.last_day', true), '')::date AS last_day
), now_there AS (
  SELECT f.day, f.rows, f.hash
  FROM tallymill.foreign_rows(tallymill.asked_from('range'), tallymill.asked_to('range')) f
), seen AS (
  SELECT d.day, d.foreign_rows, d.foreign_hash FROM asked a JOIN tallymill.days d ON d.day BETWEEN a.first_day AND a.last_day
)
SELECT coalesce(n.day, s.day) AS day
FROM now_there n FULL JOIN seen s ON s.day = n.day
WHERE (coalesce(n.rows, 0), coalesce(n.hash, 0)) IS DISTINCT FROM (coalesce(s.foreign_rows, 0), coalesce(s.foreign_hash, 0));
