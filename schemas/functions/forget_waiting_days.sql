-- The days of a month that was archived wait for nothing any more.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.forget_waiting_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE tallymill.days SET dirty_since = NULL, dirty_reason = NULL
    WHERE dirty_since IS NOT NULL AND day >= NEW.month AND day < NEW.month + interval '1 month';
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION tallymill.forget_waiting_days() FROM PUBLIC;

CREATE OR REPLACE TRIGGER forget_waiting_days AFTER UPDATE OF state ON tallymill.months
  FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived') EXECUTE FUNCTION tallymill.forget_waiting_days();

RESET ROLE;
