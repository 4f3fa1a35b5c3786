-- Raises TM010: of the p_wanted rows that were written to one of the tables only p_written stand as they were written.
--
-- A trigger or a rule of somebody else may keep the books from being written: a BEFORE trigger that answers NULL loses a row without an error, one that answers OLD
-- an UPDATE. Whatever our functions write to the books they read again, and come here where it is not there, for the name of what keeps it out.
-- To read again rather than to believe the row count: a row may be there and say something else. It costs an index look-up of a row that was just written.
-- Rejected: to refuse every trigger on the books (who watches them by one does no harm).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.kept_out(p_table regclass, p_wanted bigint, p_written bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whose text;
  remedy text;
BEGIN
  SELECT string_agg(f.said, ', ' ORDER BY f.said), string_agg(f.statement, ' ' ORDER BY f.said) INTO whose, remedy
  FROM (SELECT format('trigger %I (function %s)', t.tgname, t.tgfoid::regprocedure) AS said, format('ALTER TABLE %s DISABLE TRIGGER %I;', p_table, t.tgname) AS statement
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND p.pronamespace <> 'tallymill'::regnamespace
        UNION ALL
        SELECT format('rule %I', r.rulename), format('ALTER TABLE %s DISABLE RULE %I;', p_table, r.rulename)
        FROM pg_rewrite r WHERE r.ev_class = p_table AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A')) f;
  EXECUTE 'DISCARD PLANS'; -- one that was made under a DO INSTEAD NOTHING holds no table any more, and would outlive the rule
  RAISE EXCEPTION USING ERRCODE = 'TM010',
    MESSAGE = format('of %s rows of table %s Postgres took %s as they were written: %s keeps the others out, and nothing was committed',
                     p_wanted, p_table, p_written, coalesce(whose, 'something that is neither a trigger nor a rule')),
    HINT = coalesce('An owner of the table runs: ' || remedy, '');
END
$$;

REVOKE ALL ON FUNCTION tallymill.kept_out(regclass, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.kept_out(regclass, bigint, bigint) TO tallymill_aggregate;

RESET ROLE;
