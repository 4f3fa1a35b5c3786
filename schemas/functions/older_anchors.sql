-- Up to p_count messages of each topic partition that the ledger knows, from the oldest that Kafka still has (its log begins at p_lows) to the last, evenly spread: where ids
-- do not tell, a log that was made anew shows by them. What lies before a reset is of another log.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.older_anchors(p_topic text, p_partitions integer[], p_lows bigint[], p_count integer)
RETURNS TABLE (topic_partition integer, anchor_offset bigint, anchor_hash bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT DISTINCT s.number, b.anchor_offset, b.anchor_hash
  FROM (SELECT w.number,
               greatest(w.low, (SELECT max(g.next_offset) FROM tallymill.gaps g
                                WHERE g.topic = p_topic AND g.topic_partition = w.number AND g.reason = 'reset')) AS first_offset,
               tallymill.next_offset(p_topic, w.number) AS next_offset
        FROM unnest(p_partitions, p_lows) AS w (number, low)) s
  CROSS JOIN generate_series(1, p_count) AS step
  CROSS JOIN LATERAL (SELECT l.anchor_offset, l.anchor_hash FROM tallymill.batches l
                      WHERE l.topic = p_topic AND l.topic_partition = s.number AND l.anchor_offset IS NOT NULL
                        AND l.first_offset < s.first_offset + (s.next_offset - s.first_offset) * step / p_count
                      ORDER BY l.first_offset DESC LIMIT 1) b
  WHERE s.next_offset > s.first_offset AND b.anchor_offset >= s.first_offset
  ORDER BY 1, 2;
END
$$;

REVOKE ALL ON FUNCTION tallymill.older_anchors(text, integer[], bigint[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.older_anchors(text, integer[], bigint[], integer) TO tallymill_ingest, tallymill_read;

RESET ROLE;
