-- What an adoption that is given up has made, but for the triggers (gone before) and the roles (other databases may use them). Of the tables in public only those that the books name.
-- What others have made upon it is named, and stays: CASCADE would take it along.
DO $$
DECLARE
  names text;
BEGIN
  IF to_regprocedure('tallymill_adopt.dependents(oid[])') IS NOT NULL THEN
    names := (SELECT string_agg(d.what, ', ') FROM tallymill_adopt.dependents('{}') d);
    IF names IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist', MESSAGE = format('what others have made stands on it: %s', names);
    END IF;
  END IF;
END
$$;
DROP MATERIALIZED VIEW IF EXISTS public.analytics_view_daily, public.analytics_view_funnel, public.analytics_view_conversion, public.analytics_view_performance;
DO $$
DECLARE
  names text[] := '{analytics_daily_uniques}';
  made record;
BEGIN
  IF to_regclass('tallymill.rollups') IS NOT NULL THEN
    names := names || ARRAY(SELECT r.target FROM tallymill.rollups r) || ARRAY(SELECT (tallymill.internal_twin(r)).target FROM tallymill.rollups r);
  END IF;
  FOR made IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (names)
              AND pg_get_userbyid(c.relowner) = 'tallymill_admin' LOOP
    EXECUTE format('DROP TABLE %s', made.name);
  END LOOP;
END
$$;
DROP SCHEMA IF EXISTS tallymill CASCADE;
DROP SCHEMA tallymill_adopt CASCADE;
REVOKE CREATE, USAGE ON SCHEMA public FROM tallymill_admin;
