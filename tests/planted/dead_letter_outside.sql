-- For the planted bug dead_letter_outside: the fence no longer asks whether the dead letters of its batch are there.
CREATE OR REPLACE FUNCTION tallymill.prove_dead_letters(bigint, text, integer, bigint, bigint, bigint) RETURNS void LANGUAGE sql AS $$ $$;
