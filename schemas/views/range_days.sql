-- Each day from tallymill.first_day to tallymill.last_day, with events or without, for a rollup that has a row for every day.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.range_days AS
  SELECT (tallymill.asked_from('range') AT TIME ZONE 'UTC')::date + n AS date
  FROM generate_series(0, (tallymill.asked_to('range') AT TIME ZONE 'UTC')::date - (tallymill.asked_from('range') AT TIME ZONE 'UTC')::date - 1) AS n
  WHERE tallymill.is_asked('range', tallymill.asked('range'));

GRANT SELECT ON tallymill.range_days TO tallymill_aggregate, tallymill_read;

RESET ROLE;
