-- Which table of which run of which server a month is in: what must not have changed for the transactions of its rows to say that they are those of a snapshot (drop_month).
-- A server's count of transactions goes back where another one takes over, and where a crash loses commits that were not flushed: the first has another start, the second begins its statistics anew.
-- NULL: rows of that kind of table have no transactions that could be asked for.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.month_identity(p_table regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
  SELECT format('%s %s %s %s', extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM (SELECT s.stats_reset FROM pg_stat_bgwriter s)), c.oid, c.relnatts)
  FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE c.oid = p_table AND m.amname = 'heap'
$$;

REVOKE ALL ON FUNCTION tallymill.month_identity(regclass) FROM PUBLIC;

RESET ROLE;
