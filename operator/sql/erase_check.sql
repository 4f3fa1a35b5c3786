-- Whether the hash of a receipt that was given out ($1, as JSON) is of what it says. One row. A value that no receipt can have is an error of class 22.
SELECT coalesce(encode(tallymill.erasure_hash(r), 'hex') = $1::jsonb ->> 'hash', false) AS is_whole
FROM jsonb_populate_record(NULL::tallymill.erasures, $1::jsonb
       || jsonb_build_object('before_hash', '\x' || substring($1::jsonb ->> 'before_hash' FROM '^(?:[0-9a-f]{2})*$'), 'hash', NULL)) r
