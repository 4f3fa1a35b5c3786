-- What is known of a manifest beside its figures: the SHA-256 of its bytes, so that one that was changed in the store, or written there by another database, is not taken for it.

SET ROLE tallymill_admin;

-- NULL: written by an older release.
ALTER TABLE tallymill.archives ADD COLUMN manifest_sha256 text;

RESET ROLE;
