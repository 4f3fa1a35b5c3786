"""`tallymill adopt` beside others who change the old table, its triggers, its indexes and its name while it is copied: nothing of that is lost in silence."""

import contextlib
import threading

import pytest

from .harness.adopting import DEADLINE, LEFT, adopt, rows_of, schema_of
from .harness.waiting import wait_until

OPTIONS = "SELECT reloptions::text FROM pg_class WHERE oid = %s::regclass"
BOTH = "SELECT id, event_name, is_internal, created_at FROM {}"
OTHER = f"SELECT count(*) FROM (({BOTH.format('analytics_events')} EXCEPT {BOTH.format('analytics_events_before')}) UNION ALL ({BOTH.format('analytics_events_before')} EXCEPT {BOTH.format('analytics_events')})) AS d"
WRITTEN = """
    INSERT INTO analytics_events (event_name, event_category, created_at) SELECT 'login', 'usage', now() - n * interval '1 day' FROM generate_series(1, 20) n;
    UPDATE analytics_events SET is_internal = NOT is_internal WHERE user_id = 9;
    DELETE FROM analytics_events WHERE user_id = 8"""


def frozen(site, failpoint, name="frozen"):
    program = site.start("tallymill", "adopt", failpoint=f"{failpoint}:stop", name=name)
    wait_until(program.is_frozen, DEADLINE, lambda: f"{failpoint}:\n{program.log()}")
    return program


def killed(site, failpoint, name="killed"):
    program = site.start("tallymill", "adopt", failpoint=f"{failpoint}:exit", name=name)
    assert program.wait(DEADLINE) == 86, program.log()


def is_old(site):
    return site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "r"


def test_what_writers_in_replica_mode_change_is_logged(old):
    """As AWS DMS, pglogical and restores write: ordinary triggers do not fire for them. Behind the comparison nothing but the log knows of their rows."""
    site, _ = old(500, build="check")
    program = frozen(site, "adopt_compare")
    site.database.run(f"SET session_replication_role = replica; {WRITTEN}")
    program.thaw()
    assert program.wait(DEADLINE) == 0, program.log()
    assert site.database.value("SELECT count(*) FROM analytics_events_before") == 520 - site.database.value("SELECT count(*) FROM generate_series(1, 500) n WHERE n %% 3 > 0 AND 1 + n %% 500 = 8")
    assert site.database.value(OTHER) == 0


@pytest.mark.parametrize("statement", ("DISABLE TRIGGER USER", "DISABLE TRIGGER tallymill_adopt_insert", "DISABLE TRIGGER ALL; ALTER TABLE analytics_events ENABLE TRIGGER ALL"))
def test_triggers_that_are_switched_off_keep_the_tables_from_being_swapped(old, statement):
    """Before the comparison and behind it; also when they were switched on again, as a restore does."""
    site, _ = old(500, build="check")
    off = f"ALTER TABLE analytics_events {statement}"
    program = frozen(site, "adopt_compare")
    site.database.run(f"{off}; {WRITTEN}")
    program.thaw()
    assert program.wait(DEADLINE) == 2, program.log()
    assert "tallymill_adopt_" in program.log() and "--abandon" in program.log() and is_old(site), program.log()
    refused = adopt(site, code=2)
    assert "switched" in refused.err and "--abandon" in refused.err and "comparing" in refused.err and is_old(site), refused
    adopt(site, "--abandon")
    assert site.database.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tallymill%%'") == 0


@contextlib.contextmanager
def in_a_thread(site, statement):
    failed = []

    def run():
        try:
            site.database.run(statement)
        except Exception as why:  # noqa: BLE001 (told by the test)
            failed.append(why)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    thread.join(60)
    assert not thread.is_alive() and not failed, failed


IS_WAITED_FOR = "SELECT count(*) FROM pg_locks WHERE relation = 'analytics_events'::regclass AND mode = %s AND NOT granted"
INVALID = "SELECT count(*) FROM pg_index WHERE indrelid = 'analytics_events'::regclass AND NOT indisvalid"
INDEX = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'analytics_events'::regclass AND c.relname = %s AND i.indisvalid"


@pytest.mark.parametrize("held, begun, waiting", [
    ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users", INVALID, 1),
    # The index waits for older snapshots: a deadlock where one of them, ours, waits for its lock.
    ("BEGIN; LOCK TABLE analytics_events IN SHARE UPDATE EXCLUSIVE MODE", IS_WAITED_FOR % "'ShareUpdateExclusiveLock'", 2)])
def test_an_index_that_is_being_built_meanwhile_is_waited_for(old, held, begun, waiting):
    """CREATE INDEX CONCURRENTLY holds no lock that a copy waits for, and is not valid until its end."""
    site, application = old(500, build="check")
    program = frozen(site, "adopt_compare")
    with application.connect() as cursor:
        cursor.execute(held)
        with in_a_thread(site, "CREATE INDEX CONCURRENTLY of_addresses ON analytics_events (ip_address)"):
            wait_until(lambda: site.database.value(begun) == 1, 30, "the index to be begun")
            program.thaw()
            wait_until(lambda: site.database.value(IS_WAITED_FOR, "ShareUpdateExclusiveLock") == waiting, 30, lambda: f"it to wait for the index:\n{program.log()}")
            cursor.execute("COMMIT")
    assert program.wait(DEADLINE) == 0, program.log()
    assert site.database.value(INDEX, "of_addresses") == 1


def test_an_index_that_comes_just_before_the_swap_is_not_lost(old):
    """The next run makes it. One that is called like an index of ours and is another gets a name of its own."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute("CREATE INDEX idx_analytics_events_batch ON analytics_events (ip_address); COMMENT ON INDEX idx_analytics_events_batch IS 'By address'")
        indexes = sorted(line for line in schema_of(site) if "INDEX" in line)
        cursor.execute("BEGIN; SELECT count(*) FROM analytics_events")
        program = site.start("tallymill", "adopt")
        wait_until(lambda: site.database.value(IS_WAITED_FOR, "AccessExclusiveLock") > 0, 60, lambda: f"it to wait for the table:\n{program.log()}")
        site.database.run("CREATE INDEX of_addresses ON analytics_events (ip_address, created_at)")
        cursor.execute("COMMIT")
    assert program.wait(DEADLINE) == 2, program.log()
    assert "of_addresses" in program.log() and "tallymill adopt again" in program.log() and is_old(site), program.log()
    adopt(site)
    assert site.database.value(INDEX, "of_addresses") == 1
    assert site.database.value("SELECT pg_get_indexdef('idx_analytics_events_batch_own'::regclass) ~ 'btree \\(ip_address\\)$' AND obj_description('idx_analytics_events_batch_own'::regclass) = 'By address'"
                               " AND pg_get_indexdef('idx_analytics_events_batch'::regclass) ~ 'brin' AND obj_description('idx_analytics_events_batch'::regclass) IS NULL")
    adopt(site, "--undo")
    site.database.run("DROP INDEX of_addresses")
    assert sorted(line for line in schema_of(site) if "INDEX" in line) == indexes


def test_a_default_that_is_the_same_is_not_set_again(old):
    """Under the lock of the swap it would be on every month."""
    site, application = old(500, build="check")
    with application.connect() as cursor:
        cursor.execute("DROP INDEX of_the_application; ALTER TABLE analytics_events ALTER COLUMN event_data DROP DEFAULT, ALTER COLUMN event_data TYPE json, ALTER COLUMN event_data SET DEFAULT '{}',"
                       " ALTER COLUMN event_category TYPE char(50), ALTER COLUMN event_category SET DEFAULT 'usage', ALTER COLUMN session_id TYPE text, ALTER COLUMN session_id SET DEFAULT 'none',"
                       " ALTER COLUMN user_id SET DEFAULT 5")
    killed(site, "adopt_compare")
    defaults = "SELECT a.attname, d.oid, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {}::regclass ORDER BY 1"
    before = site.database.rows(defaults.format("'tallymill_adopt.analytics_events'"))
    adopt(site)
    assert site.database.rows(defaults.format("'analytics_events'")) == before
    site.database.run("INSERT INTO analytics_events (event_name) VALUES ('logout')")
    assert site.database.rows("SELECT event_data, event_category, session_id, user_id FROM analytics_events WHERE event_name = 'logout'") == [({}, "usage", "none", 5)]


@pytest.mark.parametrize("place", ("nothing", "another", "renamed"))
def test_given_up_when_the_old_table_is_not_there_or_called_otherwise(old, place):
    """Dropped, with another one in its place or without; or renamed, which is then what gets its autovacuum back, and another in its place is let be."""
    site, application = old(500, build="check")
    killed(site, "adopt_compare")
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events RENAME TO events_v1; ALTER TABLE events_v1 SET (autovacuum_enabled = false)" if place == "renamed" else "DROP TABLE analytics_events CASCADE")
        if place != "nothing":
            cursor.execute("CREATE TABLE analytics_events (id uuid PRIMARY KEY) WITH (autovacuum_enabled = true)")
    refused = adopt(site, code=2)
    assert "another table" in refused.err and "--abandon" in refused.err, refused
    adopt(site, "--abandon")
    assert site.database.value(LEFT) == 0
    assert site.database.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tallymill%%'") == 0
    if place != "nothing":
        assert site.database.value(OPTIONS, "analytics_events") == "{autovacuum_enabled=true}"
    if place == "renamed":
        assert site.database.value(OPTIONS, "events_v1") is None and rows_of(site, "events_v1")[0][0] == 500


def test_a_swap_that_fails_leaves_autovacuum_as_it_was(old):
    site, application = old(500, build="check")
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events SET (autovacuum_enabled = true, fillfactor = 90)")
    options = site.database.value(OPTIONS, "analytics_events")
    program = frozen(site, "adopt_compare")
    site.database.run("CREATE TABLE notes (event uuid REFERENCES analytics_events)")
    program.thaw()
    assert program.wait(DEADLINE) == 2 and "notes_event_fkey" in program.log(), program.log()
    assert set(site.database.value(OPTIONS, "analytics_events").strip("{}").split(",")) == set(options.strip("{}").split(","))
