-- Defines the subjects of uniques: those that are new get a bit that none had before, those that are not named any more are retired. Returns how many were made and how many retired.
-- A bit never changes its meaning, since keys of archived months carry it: another condition is refused (TM004) and wants another name.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.define_subjects(p_subjects text[], p_conditions text[], OUT made integer, OUT retired integer)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  other text;
  changed integer;
BEGIN
  SELECT s.subject INTO other FROM unnest(p_subjects, p_conditions) AS g (subject, condition) JOIN tallymill.unique_subjects s ON s.subject = g.subject
    WHERE s.condition <> g.condition ORDER BY s.bit LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'TM004', MESSAGE = format('the condition of subject %s was another: a subject keeps its meaning; give it another name', other);
  END IF;
  INSERT INTO tallymill.unique_subjects (bit, subject, condition)
    SELECT (SELECT coalesce(max(s.bit), -1) FROM tallymill.unique_subjects s) + row_number() OVER (ORDER BY g.place), g.subject, g.condition
    FROM unnest(p_subjects, p_conditions) WITH ORDINALITY AS g (subject, condition, place)
    WHERE NOT EXISTS (SELECT FROM tallymill.unique_subjects s WHERE s.subject = g.subject) ORDER BY g.place;
  GET DIAGNOSTICS made = ROW_COUNT;
  UPDATE tallymill.unique_subjects s SET retired_at = clock_timestamp() WHERE s.retired_at IS NULL AND s.subject <> ALL (p_subjects);
  GET DIAGNOSTICS retired = ROW_COUNT;
  UPDATE tallymill.unique_subjects s SET retired_at = NULL WHERE s.retired_at IS NOT NULL AND s.subject = ANY (p_subjects);
  GET DIAGNOSTICS changed = ROW_COUNT;
  made := made + changed;
  IF made + retired > 0 THEN
    UPDATE tallymill.unique_state SET definition = definition + 1;
  END IF;
  IF EXISTS (SELECT FROM unnest(p_subjects, p_conditions) AS g (subject, condition)
             WHERE NOT EXISTS (SELECT FROM tallymill.unique_subjects s WHERE s.subject = g.subject AND s.condition = g.condition AND s.retired_at IS NULL)) THEN
    PERFORM tallymill.kept_out('tallymill.unique_subjects', cardinality(p_subjects), 0);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION tallymill.define_subjects(text[], text[]) FROM PUBLIC;

RESET ROLE;
