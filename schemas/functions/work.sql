-- The work list as the release before asks it, in one answer: where each topic partition stands (kind 0, in order of place), then at most p_limit ledger rows beyond (kind 1), then
-- the gaps beyond (kind 2).

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.work(p_limit bigint)
RETURNS TABLE (kind integer, place integer, batch_id bigint, last_batch_id bigint, first_offset bigint, next_offset bigint, stored bigint, days date[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT 0, p.place, NULL::bigint, NULL::bigint, NULL::bigint, p.next_offset, NULL::bigint, NULL::date[]
    FROM tallymill.places p ORDER BY p.place;
  RETURN QUERY SELECT 1, u.place, u.batch_id, u.last_batch_id, u.first_offset, u.next_offset, u.stored, u.days
    FROM tallymill.unfolded u LIMIT p_limit;
  RETURN QUERY SELECT 2, p.place, NULL::bigint, NULL::bigint, g.first_offset, g.next_offset, NULL::bigint, NULL::date[]
    FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset;
END
$$;

REVOKE ALL ON FUNCTION tallymill.work(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.work(bigint) TO tallymill_aggregate;

RESET ROLE;
