-- For the planted bug dead_letter_outside: the fence no longer asks whether the dead letters of its batch are there.
CREATE OR REPLACE FUNCTION tallymill.prove_dead_letters(p_batch_id bigint, p_topic text, p_partition integer, p_first_offset bigint, p_next_offset bigint, p_count bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN END $$;
