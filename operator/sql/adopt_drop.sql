-- What an adoption that is given up has made, but for the triggers (gone before) and the roles (other databases may use them).
DROP MATERIALIZED VIEW IF EXISTS public.analytics_view_daily, public.analytics_view_funnel, public.analytics_view_conversion, public.analytics_view_performance;
DO $$
DECLARE
  made record;
BEGIN
  FOR made IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname ~ '^analytics_(daily|weekly)_'
              AND pg_get_userbyid(c.relowner) = 'tallymill_admin' LOOP
    EXECUTE format('DROP TABLE %s', made.name);
  END LOOP;
END
$$;
DROP SCHEMA IF EXISTS tallymill CASCADE;
DROP SCHEMA tallymill_adopt CASCADE;
REVOKE CREATE, USAGE ON SCHEMA public FROM tallymill_admin;
