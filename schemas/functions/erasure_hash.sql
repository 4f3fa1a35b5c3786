-- SHA-256 over a receipt, the hash of the one before it included.

SET ROLE tallymill_admin;

CREATE OR REPLACE FUNCTION tallymill.erasure_hash(p_erasure tallymill.erasures) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT sha256(convert_to(jsonb_build_object(
    'erasure', p_erasure.erasure, 'asked_at', (extract(epoch FROM p_erasure.asked_at) * 1000000)::bigint, 'asked_by', p_erasure.asked_by, 'users', to_jsonb(p_erasure.users),
    'sessions', to_jsonb(p_erasure.sessions), 'counts', p_erasure.counts, 'is_complete', p_erasure.is_complete, 'remarks', to_jsonb(p_erasure.remarks),
    'kafka_until', (extract(epoch FROM p_erasure.kafka_until) * 1000000)::bigint, 'finished_at', (extract(epoch FROM p_erasure.finished_at) * 1000000)::bigint,
    'receipt', p_erasure.receipt, 'before_hash', encode(p_erasure.before_hash, 'hex'))::text, 'UTF8'))
$$;

REVOKE ALL ON FUNCTION tallymill.erasure_hash(tallymill.erasures) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tallymill.erasure_hash(tallymill.erasures) TO tallymill_aggregate, tallymill_read;

RESET ROLE;
