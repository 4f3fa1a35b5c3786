-- Each day of attached months whose uniques are kept, with what is known of them. is_stale: its rows of analytics_daily_uniques are not of this version of its events, or,
-- of the newest day, whose keys are stored nowhere until it is closed, not of what earlier days hold now. cadence: so long
-- after a run it is due again (a closed day at once: it changes no more, but for a reason). No row where no subject is defined: then no uniques are counted.

SET ROLE tallymill_admin;

CREATE OR REPLACE VIEW tallymill.unique_days AS
  -- Each month is looked for once, not with each of its days, and none before the first day that is kept.
  WITH attached AS MATERIALIZED (
    SELECT a.month FROM tallymill.attached_months a WHERE a.month >= (SELECT date_trunc('month', k.kept_from::timestamp)::date FROM tallymill.unique_state k)
  )
  SELECT c.day, c.version, d.closed_at, d.dirty_since IS NOT NULL AS is_dirty, s.definition, c.day = n.day AS is_newest,
         coalesce(r.is_stored, false) AS is_stored, r.run, r.ran_at, r.took_us, r.error, r.failed_at, r.failed_definition,
         r.version IS DISTINCT FROM c.version OR r.definition IS DISTINCT FROM s.definition
           OR NOT (r.is_stored OR (c.day = n.day AND d.closed_at IS NULL AND r.run >= s.stored_run)) AS is_stale,
         CASE WHEN c.day = n.day THEN interval '1 minute' WHEN d.closed_at IS NULL THEN interval '5 minutes' ELSE interval '0' END AS cadence
  FROM tallymill.unique_state s
  CROSS JOIN (SELECT max(l.day) AS day FROM tallymill.changes l) n
  JOIN tallymill.changes c ON c.day >= (SELECT k.kept_from FROM tallymill.unique_state k) -- known before the scan: no day of a long history before it is read
  JOIN attached m ON m.month = date_trunc('month', c.day::timestamp)::date
  LEFT JOIN tallymill.days d ON d.day = c.day
  LEFT JOIN tallymill.unique_runs r ON r.day = c.day
  WHERE EXISTS (SELECT FROM tallymill.unique_subjects u WHERE u.retired_at IS NULL);

GRANT SELECT ON tallymill.unique_days TO tallymill_aggregate, tallymill_read;

RESET ROLE;
