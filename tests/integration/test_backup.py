"""docs/backup.md, done: an older dump is restored, and what came after it is read from Kafka again, exactly."""

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.database import Database
from .harness.program import environment, run
from .harness.publisher import events


def client(program, site, *words):
    done = run([program, *words, "-d", site.database.dsn], 120, env=environment())
    assert done.code == 0, done


def restore(site, dump):
    name = extensions.parse_dsn(site.database.dsn)["dbname"]
    server = Database(site.stack.database_dsn("postgres"))
    server.run(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.run(f'CREATE DATABASE "{name}" TEMPLATE template0')
    client("pg_restore", site, "--exit-on-error", str(dump))


@pytest.mark.plain_servers("pg_dump would need the login's files")
def test_a_restored_older_dump_catches_up_exactly(site):
    dump = site.folder / "tallymill.dump"
    worker = site.worker()
    site.send(events(1_000, seed=1))
    site.publisher.send_bytes(b"\xc1", b"bad")
    site.publisher.flush()
    client("pg_dump", site, "--format=custom", f"--file={dump}")  # while it stores
    site.send(events(2_000, seed=2))
    site.wait_until_drained()
    site.fold()
    assert worker.stop() == 0
    figures = "SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats ORDER BY 1, 2"
    before = site.database.rows(figures)
    restore(site, dump)
    assert site.must("tallymill", "migrate").code == 0
    assert site.database.value("SELECT count(*) FROM analytics_events") < 3_000  # it is the older copy
    site.drain()
    site.fold()
    site.assert_holds()
    assert site.database.rows(figures) == before
    for command in ("audit", "verify"):
        assert site.tallymill(command).out.splitlines()[-1].startswith("OK")
    with pytest.raises(psycopg2.Error):  # and what is in the dump is under our guards as before
        site.database.run("INSERT INTO tallymill.batches SELECT * FROM tallymill.batches LIMIT 1")
