"""Every way in which Postgres may refuse a batch, by the class of its SQLSTATE: tried again, one event lost to its own dead letter, or a loud stop.

common/postgres_error.c decides, by one table; its classes are in the unit tests. Here the real server refuses a real batch. Where the cause would take minutes (a disk
that is full: tests/faults) a trigger raises its code. Elsewhere: duplicates (test_duplicates.py), missing and archived months (test_months.py),
refused rows (test_dlq.py), rules and code of somebody else (test_hostile_databases.py), a newer schema (test_migrate.py), COMMIT without an answer (test_workers.py), frozen workers (test_workers.py).
"""

import os
import pathlib
import tempfile

import psycopg2
import pytest

from .harness.postgres_server import PostgresServer, with_postgres
from .harness.publisher import event, events, now_us
from .harness.site import Site
from .harness.stack import Stack
from .harness.waiting import wait_until

# serialization, deadlock, disk full, too many connections, a lock not available, an I/O error
TRY_AGAIN = ("40001", "40P01", "53100", "53300", "55P03", "58030")
MONTH = "to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"


def plant(site, codes):
    """The ledger's next inserts are refused with these codes, one after the other. (A sequence does not roll back.)"""
    site.database.run(f"""
        DROP SEQUENCE IF EXISTS public.tries; CREATE SEQUENCE public.tries;
        CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        DECLARE
          codes text[] := '{{{",".join(codes)}}}';
          try bigint := nextval('public.tries');
        BEGIN
          IF try <= cardinality(codes) THEN
            RAISE EXCEPTION USING ERRCODE = codes[try], MESSAGE = 'planted ' || codes[try];
          END IF;
          RETURN NULL;
        END $$;
        CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON tallymill.batches FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()""")


def assert_all_stored(site, count):
    assert site.outcomes() == (count, 0, 0, 0) and site.reasons() == {}
    site.fold()
    site.assert_holds()


def test_what_may_pass_later_is_tried_again_until_it_does(make_site):
    site = make_site(partitions=1)
    site.send(events(500))
    plant(site, TRY_AGAIN)
    worker = site.drain()
    assert [code for code in TRY_AGAIN if f"planted {code}" not in worker.log()] == []
    assert_all_stored(site, 500)


def test_what_no_retry_mends_stops_the_worker_and_is_no_dead_letter(make_site):
    site = make_site(partitions=1)
    site.send(events(500))
    for code, exit_code in (("XX000", 3), ("42601", 3), ("22P04", 3), ("42501", 2)):
        plant(site, [code] * 10)
        worker = site.worker()
        assert worker.wait(30) == exit_code, worker.log()[-2000:]
        assert f"planted {code}" in worker.log() and site.outcomes() == (0, 0, 0, 0)
    plant(site, [])
    site.drain()
    assert_all_stored(site, 500)


def test_the_victim_of_a_deadlock_stores_its_batch_afterwards(make_site):
    """The worker waits for an id of ours, then we for one of the worker's; its patience ends first, and the server ends its transaction."""
    site = make_site(partitions=1)
    site.fold()  # makes this month
    first, second = event(), event()
    insert = "INSERT INTO analytics_events (id, event_name, created_at) VALUES (%s::uuid, 'login', to_timestamp(0) + %s * interval '1 us')"
    with site.database.session() as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '1h'; BEGIN")
        cursor.execute(insert, (second["id"].hex(), second["created_at"]))
        site.send([first, second])
        worker = site.worker("--set", f"postgres.dsn={site.database.dsn} options='-c deadlock_timeout=3s'")
        wait_until(lambda: site.database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() <> pid AND wait_event_type = 'Lock' AND datname = current_database()"),
            30, "the worker to wait for our id")
        cursor.execute(insert, (first["id"].hex(), first["created_at"]))  # returns once the worker's transaction has ended
        cursor.execute("ROLLBACK")
    site.wait_until_drained()
    assert "40P01" in worker.log() and "deadlock detected" in worker.log(), worker.log()[-2000:]
    assert worker.stop() == 0
    assert_all_stored(site, 2)


def test_a_server_that_has_become_read_only_is_left_and_asked_again(make_site):
    """As after a failover: the session stays read-only for ever, a new one finds the server that takes rows."""
    site = make_site(partitions=1)
    worker = site.worker()
    site.send(events(100, seed=1))
    site.wait_until_drained()
    name = psycopg2.extensions.parse_dsn(site.database.dsn)["dbname"]
    with site.database.session() as own, own.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        site.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                           " AND pid <> ALL (ARRAY[pg_backend_pid(), %s])", own.get_backend_pid())
        site.send(events(100, seed=2))
        wait_until(lambda: "25006" in worker.log(), 30, "the worker to be refused by a read-only server")
        cursor.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    site.wait_until_drained()
    assert worker.stop() == 0
    assert_all_stored(site, 200)


def test_a_login_without_a_free_connection_waits_for_one(make_site):
    site = make_site(partitions=1)
    role = f"worker_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {role} LOGIN IN ROLE tallymill_ingest")
    try:
        worker = site.worker("--set", f"postgres.dsn={psycopg2.extensions.make_dsn(site.database.dsn, user=role)}")
        site.send(events(100, seed=1))
        site.wait_until_drained()
        site.database.run(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        site.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role)
        site.send(events(100, seed=2))
        wait_until(lambda: "53300" in worker.log(), 30, "the worker to be refused a connection")
        site.database.run(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        site.wait_until_drained()
        assert worker.stop() == 0
    finally:
        site.database.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", role)
        site.database.run(f"DROP ROLE {role}")
    assert_all_stored(site, 200)


def test_a_month_detached_by_hand_is_waited_for_and_one_that_is_archived_buries_its_events(make_site):
    site = make_site(partitions=1)
    worker = site.worker()
    site.send([event(created_us=now_us()) for _ in range(100)])
    site.wait_until_drained()
    leaf = "analytics_events_" + site.database.value(f"SELECT {MONTH}")
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf}")
    site.send([event(created_us=now_us()) for _ in range(100)])
    wait_until(lambda: "TM007" in worker.log(), 30, "the worker to say that the month is missing")
    ((first, end),) = site.database.rows("SELECT m::date, (m + interval '1 month')::date FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS m")
    site.database.run(f"ALTER TABLE analytics_events ATTACH PARTITION {leaf}"
                      f" FOR VALUES FROM ('{first} 00:00+00') TO ('{end} 00:00+00')")
    site.wait_until_drained()
    assert site.outcomes() == (200, 0, 0, 0)
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf}; INSERT INTO tallymill.months (month, state) VALUES ('{first}', 'archived')"
                      " ON CONFLICT (month) DO UPDATE SET state = 'archived'")
    site.send([event(created_us=now_us()) for _ in range(50)])
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.outcomes() == (200, 0, 50, 0) and site.reasons() == {"archived_month": 50}


@pytest.fixture
def german_stack(tmp_path, monkeypatch):
    """Servers of the test's own, whose Postgres speaks German. (In the locale C.UTF-8 gettext takes the language from LANGUAGE, so none need be installed.)"""
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    tmp_path.chmod(0o755)
    with Stack(tmp_path / "stack") as stack:
        yield stack


def test_a_refused_row_is_found_whatever_language_the_server_speaks(german_stack, tmp_path):
    (tmp_path / "site").mkdir()
    site = Site(german_stack, tmp_path / "site", partitions=1)
    try:
        site.database.run("ALTER SYSTEM SET lc_messages = 'C.UTF-8'")
        site.database.rows("SELECT pg_reload_conf()")
        with pytest.raises(psycopg2.Error) as said:
            site.database.rows("SELECT 1/0")
        if "Division durch Null" not in str(said.value):
            pytest.skip("the C library here takes no language in the locale C.UTF-8, and no German one is installed")
        site.fold()
        site.database.run("ALTER TABLE analytics_events ADD CONSTRAINT no_login CHECK (event_name <> 'login')")
        site.send([event("login" if number == 700 else "signup") for number in range(1000)])
        site.drain()
        assert site.outcomes() == (999, 0, 1, 0) and site.reasons() == {"refused": 1}
        site.fold()
        site.assert_holds()
        # What is read from the texts of other errors: the table that row security is on, whichever quotes stand around its name; who holds a lock.
        site.log_in_as("german_reader")
        site.database.run("ALTER TABLE analytics_events ENABLE ROW LEVEL SECURITY")
        refused = site.tallymill("audit")
        assert refused.code == 2 and "ALTER TABLE public.analytics_events DISABLE ROW LEVEL SECURITY;" in refused.err, refused
        site.database.run("ALTER TABLE analytics_events DISABLE ROW LEVEL SECURITY; CREATE TABLE odd PARTITION OF analytics_events DEFAULT")
        done = site.tallymill("audit")
        assert done.code == 1 and "ALTER TABLE public.analytics_events DETACH PARTITION public.odd;" in done.out, done
    finally:
        site.close()


OUT_OF_IDS = 2**31 - 1 - 3_000_000  # transaction ids from the oldest one on: from there the server gives none away


def come_to_the_end_of_transaction_ids(server, left):
    """As after years under a transaction that nobody ended: a prepared one keeps the oldest id, and so many are left until the server gives none away."""
    server.database().run("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'forgotten'")
    next_id = int(server.value("SELECT min(datfrozenxid::text::bigint) FROM pg_database")) + OUT_OF_IDS - left
    server.stop("fast")
    segment = server.data / "pg_xact" / f"{next_id // 2**20:04X}"
    segment.write_bytes(bytes(2**18))
    os.chown(segment, server.owner, server.group)
    done = server.run("pg_resetwal", "-x", next_id, "-D", server.data)
    assert done.returncode == 0, done.stdout
    server.start()


@pytest.mark.skipif("TALLYMILL_TRANSACTION_IDS" not in os.environ, reason="takes a minute: TALLYMILL_TRANSACTION_IDS=1")
def test_a_server_without_transaction_ids_is_waited_for_and_buries_nothing(stack, tmp_path):
    """It says so with the SQLSTATE of a row that is too large for an index."""
    with PostgresServer(stack, max_prepared_transactions=2, autovacuum_naptime="1s", autovacuum_vacuum_cost_delay=0) as server:
        site = Site(with_postgres(stack, server.dsn), tmp_path, partitions=1)
        try:
            come_to_the_end_of_transaction_ids(server, left=2000)
            worker, aggregator = site.worker(), site.aggregator()
            site.send(events(20, seed=1, days=1))
            site.wait_until_drained()
            wait_until(lambda: server.value("SELECT min(datfrozenxid::text::bigint) = (SELECT transaction::text::bigint FROM pg_prepared_xacts) FROM pg_database"), 60,
                       "autovacuum to come as far as it can")
            with server.database().session() as session, session.cursor() as cursor, pytest.raises(psycopg2.errors.ProgramLimitExceeded):
                for _ in range(4000):
                    cursor.execute("SELECT txid_current()")
            site.send([event() for _ in range(20)])
            wait_until(lambda: "tries=5" in worker.log(), 60, lambda: f"the batch to be tried again:\n{worker.log()[-3000:]}")
            assert "wraparound" in worker.log() and "prepared" in worker.log(), worker.log()
            server.database().run("ROLLBACK PREPARED 'forgotten'")
            site.wait_until_drained(120)
            site.wait_until_folded(120)
            assert worker.stop() == 0 and aggregator.stop() == 0, aggregator.log()
            assert site.outcomes() == (40, 0, 0, 0)
            site.assert_holds()
        finally:
            site.close()


def move_months(cursor, tablespace):
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass")
    for (leaf,) in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {leaf} SET TABLESPACE {tablespace}")


@pytest.mark.parametrize("fault", ["closed", "gone"])
def test_a_tablespace_whose_disk_is_out_of_reach_is_waited_for(make_site, stack, fault):
    """Read-only or closed to the server it is 42501, as of a missing right; not mounted 58P01, which no table knows."""
    site = make_site(partitions=1)
    with tempfile.TemporaryDirectory(prefix="tallymill-") as name, site.database.session() as own, own.cursor() as cursor:
        account = os.stat(f"/proc/{stack.pid('postgres')}")
        folder, space = pathlib.Path(name), f"space_{site.topic.replace('-', '_')}"
        folder.chmod(0o755)
        place = folder / "disk"
        place.mkdir()
        os.chown(place, account.st_uid, account.st_gid)
        cursor.execute(f"CREATE TABLESPACE {space} LOCATION '{place}'")
        move_months(cursor, space)
        cursor.execute("CHECKPOINT")
        worker = site.worker()
        wait_until(lambda: "reading" in worker.log(), 30, worker.log)
        try:
            if fault == "closed":
                place.chmod(0)
            else:
                place.rename(folder / "away")
            site.send([event() for _ in range(20)])
            wait_until(lambda: "tries=4" in worker.log(), 60, lambda: f"the batch to be tried again:\n{worker.log()[-3000:]}")
        finally:
            if fault == "closed":
                place.chmod(0o700)
            else:
                (folder / "away").rename(place)
        said = worker.log()
        assert "could not open file" in said and "The disk of that file" in said and "GRANT" not in said, said
        site.wait_until_drained()
        assert worker.stop() == 0
        assert_all_stored(site, 20)
        move_months(cursor, "pg_default")
        cursor.execute(f"DROP TABLESPACE {space}")
