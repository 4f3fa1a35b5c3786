"""What all tests of `tallymill adopt` do: take a table over, and look whether all is as it was."""

import os
import subprocess

ROWS = int(os.environ.get("TALLYMILL_ADOPT_ROWS", "200000"))
DEADLINE = 180 + ROWS / 5_000
EVERY_ROW = "SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {} t"
LEFT = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tallymill%%'"


def adopt(site, *words, code=0, deadline=DEADLINE, **how):
    done = site.tallymill("adopt", *words, deadline=deadline, **how)
    assert done.code == code, done
    return done


def schema_of(site):
    """All of `public`, as pg_dump says it."""
    dump = subprocess.run(["pg_dump", "-s", "-n", "public", "-d", site.database.dsn], capture_output=True, text=True, check=True, timeout=60).stdout
    return [line for line in dump.splitlines() if not line.startswith(("--", "\\"))]


def rows_of(site, table):
    return site.database.rows(EVERY_ROW.format(table))


def views_of(site):
    return site.database.rows("""
        SELECT c.relname, pg_get_viewdef(c.oid), pg_get_userbyid(c.relowner), c.relacl::text, c.reloptions::text, obj_description(c.oid) FROM pg_class c
        WHERE c.relname LIKE 'external%%' AND c.relkind = 'v' ORDER BY 1""")
