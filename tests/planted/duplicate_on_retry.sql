-- For the planted bug duplicate_on_retry: the ledger refuses the first row that it is given, as a serialization failure would; the
-- sequence remembers it through the rollback. The key that would refuse the rows' second coming is taken away.
CREATE SEQUENCE tallymill.tries;
CREATE FUNCTION tallymill.refuse_the_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tallymill.tries') = 1 THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'could not serialize access';
  END IF;
  RETURN NEW;
END
$$;
GRANT USAGE ON SEQUENCE tallymill.tries TO PUBLIC;
CREATE TRIGGER refuse_the_first BEFORE INSERT ON tallymill.batches FOR EACH ROW EXECUTE FUNCTION tallymill.refuse_the_first();
ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_pkey;
