-- Finds the dead letters that grow old. A migration of its own: workers may not write dead letters while it is built (they try again), and everybody may
-- read them. Runs in psql as it stands, after 0015.

SET ROLE tallymill_admin;

CREATE INDEX dead_letters_with_bytes ON tallymill.dead_letters (dead_at) WHERE emptied_at IS NULL;

RESET ROLE;
