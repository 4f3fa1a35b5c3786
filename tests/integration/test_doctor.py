"""`tallymill doctor` on broken systems: each is named with what mends it, and a sound one is left alone.

A damage is mostly one statement on a copy of a database whose books are whole; what Kafka shows is broken on a topic of the test's own. Wrong passwords and missing ACLs
are in test_secured.py, where there are some.
"""

import copy
import json
import signal
import threading
import types

import pytest

from faults.rows.clock import Clock

from .harness.postgres_server import PostgresServer
from .harness.program import binary, environment, run
from .harness.publisher import event, events
from .harness.site import Site
from .harness.stack import IS_SECURE
from .harness.waiting import wait_until
from .test_hostile_settings import add_rollup
from .test_operator import conninfo


def examine(site, *words, env=None):
    """What doctor says, as (exit code, answer)."""
    done = run([binary("tallymill"), "doctor", "--json", "--config", str(site.settings), *words], 120, env=env or environment())
    assert done.out, done
    return done.code, json.loads(done.out)


def findings_of(answer):
    return [(check["name"], finding) for check in answer["checks"] for finding in check["findings"]]


def pick(answer, check, what, remedy, grade="finding"):
    """What it says about that under that check, with that remedy."""
    found = [finding for name, finding in findings_of(answer) if name == check]
    hits = [finding for finding in found if what in finding["what"] and remedy in finding["remedy"] and finding["grade"] == grade]
    assert hits and all(finding["why"] for finding in hits), json.dumps(answer, indent=1)
    return hits[0]


def must_find(site, check, what, remedy, *words, grade="finding", env=None):
    """Doctor names it, and exits as its findings ask for."""
    code, answer = examine(site, *words, env=env)
    assert code == (1 if answer["findings"] else 0), answer
    return pick(answer, check, what, remedy, grade)


def must_be_quiet(site, *words):
    """Nothing is found, and nothing was left unasked but what this host cannot know."""
    code, answer = examine(site, "--strict", *words)
    assert code == 0 and answer["verdict"] == "ok" and not findings_of(answer), json.dumps(answer, indent=1)
    assert {check["name"] for check in answer["checks"] if check["state"] == "not asked"} <= {"disk"}, json.dumps(answer, indent=1)


def new_site(stack, folder, **settings):
    """A site with a rollup beside its statistics."""
    site = Site(stack, folder, migrate=False, **settings)
    site.settings.write_text(site.settings.read_text().replace(f"dir = {folder / 'no-rollups'}", f"dir = {add_rollup(site)}"))
    migrated = site.tallymill("migrate")
    assert migrated.code == 0, migrated
    return site


@pytest.fixture(scope="module", name="whole")
def fixture_whole(stack, tmp_path_factory):
    """A site with stored, counted and rolled up events. Tests work on copies of its database; the topic is shared, and nobody sends to it any more."""
    site = new_site(stack, tmp_path_factory.mktemp("whole"))
    site.send(events(500))
    site.drain()
    site.fold()
    yield site
    site.close()


@pytest.fixture(name="sound")
def fixture_sound(whole, tmp_path):
    name = conninfo(whole.database)["dbname"]
    copied = copy.copy(whole)
    copied.database = whole.stack.make_database(f"{name}_copy", template=name)
    copied.settings = tmp_path / "settings.ini"
    copied.settings.write_text(whole.settings.read_text().replace(whole.database.dsn, copied.database.dsn))
    yield copied
    whole.stack.drop_database(copied.database)


# ---- sound systems

def test_doctor_finds_nothing_on_a_sound_system(sound):
    must_be_quiet(sound)
    said = sound.tallymill("doctor", "--strict")
    assert said.code == 0 and said.err == "" and "OK: " in said.out.splitlines()[-1], said
    assert "FINDING" not in said.out and "warning" not in said.out, said


def test_doctor_finds_nothing_while_events_flow(stack, tmp_path):
    site = new_site(stack, tmp_path)
    try:
        site.worker(), site.aggregator()
        site.send(events(2000))
        site.wait_until_drained()
        site.wait_until_folded()
        site.send(events(50, seed=2))
        site.wait_until_drained()
        site.wait_until_folded()
        must_be_quiet(site)
        said = site.tallymill("doctor")
        assert "1 workers are connected, an aggregator leads" in said.out, said
    finally:
        site.close()


# ---- servers

def test_doctor_names_a_kafka_that_is_down(sound):
    code, answer = examine(sound, "--set", "kafka.bootstrap.servers=127.0.0.1:1")
    (name, finding), = findings_of(answer)    # one cause, one finding
    assert code == 1 and name == "kafka" and "127.0.0.1:1" in finding["what"] and "systemctl start kafka" in finding["remedy"], answer


@pytest.mark.parametrize("change, remedy", [("port=1", "postgres.dsn"), ("user=nobody_at_all", "ALTER ROLE"), ("dbname=no_such_database", "postgres.dsn")])
@pytest.mark.plain_servers("there the message is that of the password")
def test_doctor_names_a_postgres_that_does_not_let_us_in(sound, change, remedy):
    code, answer = examine(sound, "--set", f"postgres.dsn={sound.database.dsn} {change}")
    (name, finding), = findings_of(answer)
    assert code == 1 and name == "postgres" and remedy in finding["remedy"], answer


def test_doctor_names_settings_of_a_server_that_cost_speed_or_safety(stack, tmp_path):
    with PostgresServer(stack, wal_buffers="4MB", autovacuum="off") as server:
        settings = tmp_path / "settings.ini"
        settings.write_text(f"[kafka]\nbootstrap.servers = 127.0.0.1:1\n[postgres]\ndsn = {server.dsn}\n")
        code, answer = examine(types.SimpleNamespace(settings=settings))
        assert code == 1
        pick(answer, "server", "wal_buffers is 4MB", "ALTER SYSTEM SET wal_buffers", grade="warning")
        pick(answer, "server", "fsync is off", "ALTER SYSTEM SET fsync = on")
        pick(answer, "server", "autovacuum is off", "ALTER SYSTEM SET autovacuum = on")
        pick(answer, "schema", "no Tallymill schema", "tallymill migrate")


# ---- what is broken by one statement

@pytest.mark.parametrize("check, statement, what, remedy, grade", [
    ("rights", "REVOKE INSERT ON analytics_events FROM tallymill_ingest", "tallymill_ingest may not INSERT",
     "GRANT INSERT ON TABLE public.analytics_events TO tallymill_ingest", "finding"),
    ("rights", "GRANT DELETE ON tallymill.batches TO tallymill_read", "tallymill_read may DELETE on tallymill.batches",
     "REVOKE DELETE ON tallymill.batches FROM tallymill_read", "finding"),
    ("rights", "GRANT SELECT ON tallymill.dead_letters TO PUBLIC", "may SELECT on tallymill.dead_letters", "REVOKE SELECT ON tallymill.dead_letters FROM PUBLIC", "finding"),
    ("rights", "GRANT EXECUTE ON FUNCTION tallymill.empty_dead_letters(interval, integer) TO tallymill_read",
     "tallymill_read may EXECUTE on tallymill.empty_dead_letters(interval,integer)", "REVOKE EXECUTE ON FUNCTION tallymill.empty_dead_letters(interval,integer) FROM tallymill_read",
     "finding"),
    ("rights", "GRANT EXECUTE ON FUNCTION tallymill.merge_ledger(bigint, bigint, integer) TO PUBLIC", "tallymill_ingest may EXECUTE on tallymill.merge_ledger(bigint,bigint,integer)",
     "REVOKE EXECUTE ON FUNCTION tallymill.merge_ledger(bigint,bigint,integer) FROM PUBLIC", "finding"),
    ("trials", "GRANT UPDATE (event_count) ON analytics_daily_stats TO tallymill_read", "role tallymill_read was let UPDATE (event_count) on public.analytics_daily_stats",
     "REVOKE UPDATE (event_count) ON public.analytics_daily_stats FROM tallymill_read", "finding"),
    ("trials", "GRANT INSERT (id, session_id) ON analytics_events TO PUBLIC", "was let INSERT (id, session_id) on public.analytics_events",
     "REVOKE INSERT (id, session_id) ON public.analytics_events FROM PUBLIC", "finding"),
    ("trials", "GRANT CREATE ON SCHEMA tallymill TO tallymill_ingest", "role tallymill_ingest was let CREATE on schema tallymill",
     "REVOKE CREATE ON SCHEMA tallymill FROM tallymill_ingest", "finding"),
    ("schema", "INSERT INTO tallymill.schema_version (version, name, checksum, min_program) VALUES (999, '0999_next.sql', '', 1)", "newer release", "apt install",
     "warning"),
    ("schema", "INSERT INTO tallymill.schema_version (version, name, checksum, min_program) VALUES (999, '0999_next.sql', '', 999)", "newer program", "apt install",
     "finding"),
    ("months", "DROP TABLE {next_month}", "is gone", "SELECT tallymill.make_month(", "finding"),
    ("months", "ALTER TABLE analytics_events DETACH PARTITION {this_month}", "is no part of analytics_events", "ATTACH PARTITION", "finding"),
    ("months", "CREATE TABLE by_hand PARTITION OF analytics_events FOR VALUES FROM ('2031-01-01 00:00Z') TO ('2031-02-01 00:00Z')", "by_hand", "GRANT SELECT ON", "warning"),
    ("months", "CREATE TABLE by_hand PARTITION OF analytics_events FOR VALUES FROM ('2031-01-05 00:00Z') TO ('2031-02-01 00:00Z')", "by_hand", "BEGIN; ALTER TABLE",
     "finding"),
    ("months", "UPDATE tallymill.months SET state = 'detaching', changed_at = now() - interval '25 hours' WHERE month = (SELECT min(month) FROM tallymill.months)",
     "is on its way out since", "tallymill archive --cancel ", "finding"),
    ("figures", "UPDATE analytics_daily_stats SET event_count = event_count + 1 WHERE date = (SELECT min(date) FROM analytics_daily_stats)", "the daily statistics of",
     "tallymill rebuild", "finding"),
    ("figures", "UPDATE analytics_daily_counted SET events = events + 1 WHERE date = (SELECT min(date) FROM analytics_daily_counted)", "counted of", "tallymill rebuild",
     "finding"),
    ("dead letters", "INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, batch_id) SELECT '{topic}', 0, n, 'format', 1"
                     " FROM generate_series(100000, 100999) AS n", "1000 dead letters", "tallymill dlq replay --reason format", "finding"),
    ("foreign", "CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                " CREATE TRIGGER noted BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION public.noted()", "trigger noted on public.analytics_events",
     "ALTER TABLE public.analytics_events DISABLE TRIGGER noted", "finding"),
    ("foreign", "CREATE INDEX others ON analytics_events (event_category)", "index public.others on public.analytics_events is not ours", "DROP INDEX public.others", "warning"),
    ("foreign", "CREATE INDEX idx_analytics_events_others ON analytics_events (event_category)", "index public.idx_analytics_events_others", "DROP INDEX", "warning"),
    ("foreign", "CREATE UNIQUE INDEX others ON {this_month} (session_id, created_at, id)", "unique index public.others", "DROP INDEX public.others", "finding"),
    ("foreign", "CREATE PUBLICATION others FOR TABLE analytics_events", "publication others", "DROP PUBLICATION others", "warning"),
    ("foreign", "CREATE RULE others AS ON INSERT TO tallymill.gaps DO ALSO NOTHING", "rule others on tallymill.gaps", "DROP RULE others ON tallymill.gaps", "finding"),
    ("foreign", "ALTER TABLE tallymill.days ENABLE ROW LEVEL SECURITY", "row security is on for table tallymill.days", "DISABLE ROW LEVEL SECURITY", "finding"),
    ("foreign", "ALTER TABLE tallymill.batches DROP CONSTRAINT batches_pkey", "tallymill.batches has no valid primary key", "ADD PRIMARY KEY", "finding"),
    ("rollups", "UPDATE tallymill.rollup_runs SET version = version - 1, ran_at = now() - interval '1 hour'", "rollup counted is out of date", "tallymill-aggregator",
     "finding"),
    ("rollups", "UPDATE tallymill.rollup_runs SET version = version - 1, failed_at = now(), error = 'no such column'", "no such column", "tallymill migrate", "finding"),
    ("days", "UPDATE tallymill.days SET dirty_since = now() - interval '2 hours', dirty_reason = 'asked for'", "wait for a rebuild", "tallymill-aggregator", "finding"),
    ("statistics", "UPDATE tallymill.folded SET next_offset = 0; UPDATE tallymill.batches SET committed_at = now() - interval '1 hour'", "stored and not counted",
     "systemctl restart tallymill-aggregator", "finding"),
    ("ledger", "INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days,"
               " committed_at) SELECT n, n, 'other', 0, n, n + 1, 0, 1, 0, 0, '{{}}', now() - interval '1 day' FROM generate_series(1000000, 1025000) AS n",
     "were not merged", "tallymill-aggregator", "warning"),
    ("connections", "ALTER DATABASE \"{database}\" CONNECTION LIMIT 2", "connections in use", "CONNECTION LIMIT -1", "finding"),
    ("workers", "INSERT INTO tallymill.troubles (topic, owner, sqlstate, reason) VALUES ('{topic}', 'worker-a', '53100', 'the disk is full')", "the disk is full", "journalctl",
     "finding"),
])
def test_doctor_names(sound, check, statement, what, remedy, grade):
    month = "SELECT 'analytics_events_' || to_char((now() AT TIME ZONE 'UTC') + %s * interval '1 month', 'YYYY_MM')"
    sound.database.run(statement.format(topic=sound.topic, database=conninfo(sound.database)["dbname"], this_month=sound.database.value(month, 0),
                                        next_month=sound.database.value(month, 1)))
    must_find(sound, check, what, remedy, grade=grade)


def test_doctor_leaves_a_month_alone_that_has_just_begun_to_leave(sound):
    sound.database.run("UPDATE tallymill.months SET state = 'detaching', changed_at = now() - interval '23 hours' WHERE month = (SELECT min(month) FROM tallymill.months)")
    assert not [finding for name, finding in findings_of(examine(sound)[1]) if name == "months"]


def test_doctor_names_a_login_that_lacks_its_role(sound):
    sound.database.run("DO $$ BEGIN CREATE ROLE doctor_victim LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    sound.connect_programs_by(f"{sound.database.dsn} user=doctor_victim")
    must_find(sound, "schema", "doctor_victim", 'GRANT tallymill_read TO "doctor_victim"')
    sound.database.run("GRANT tallymill_read TO doctor_victim")
    try:
        must_be_quiet(sound)    # it needs no more than that
        sound.database.run("GRANT DELETE ON analytics_events TO doctor_victim")
        must_find(sound, "trials", "login doctor_victim was let DELETE on public.analytics_events", "REVOKE DELETE ON public.analytics_events FROM doctor_victim")
    finally:
        sound.database.run("REVOKE tallymill_read FROM doctor_victim")


def check_of(answer, name):
    check, = [check for check in answer["checks"] if check["name"] == name]
    return check


def test_doctor_sees_sessions_of_other_logins_or_says_that_it_does_not(sound):
    """With its documented login alone: Postgres hides of them what they are, and since when they are in a transaction."""
    sound.database.run("DO $$ BEGIN CREATE ROLE doctor_victim LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT tallymill_read TO doctor_victim")
    sound.connect_programs_by(f"{sound.database.dsn} user=doctor_victim")
    try:
        with sound.database.session() as holder, sound.database.session(), sound.database.session():
            must_be_quiet(sound)    # in no transaction, none is old
            sound.database.run(f'ALTER DATABASE "{conninfo(sound.database)["dbname"]}" CONNECTION LIMIT 6')
            must_find(sound, "connections", "4 of 6 connections in use", "CONNECTION LIMIT -1")
            sound.database.run(f'ALTER DATABASE "{conninfo(sound.database)["dbname"]}" CONNECTION LIMIT -1')
            with holder.cursor() as cursor:
                cursor.execute("BEGIN; SELECT 1")
            code, answer = examine(sound)
            check = check_of(answer, "transactions")
            assert code == 0 and check["state"] == "not asked" and 'GRANT pg_read_all_stats TO "doctor_victim"' in check["said"], check
            sound.database.run("GRANT pg_read_all_stats TO doctor_victim")
            must_be_quiet(sound)
            with holder.cursor() as cursor:
                cursor.execute("ROLLBACK")
    finally:
        sound.database.run("REVOKE tallymill_read, pg_read_all_stats FROM doctor_victim")


def test_doctor_names_a_clock_of_kafka_that_is_behind_while_events_come(site):
    site.send(events(10))
    come = events(1_000_000, seed=2)
    is_over = threading.Event()

    def publish():
        while not is_over.wait(0.001):
            site.publisher.send(next(come))

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        with Clock(offset=3600) as clock:    # ours is ahead: theirs are behind. What it goes by has to come while it looks.
            wait_until(lambda: must_find(site, "clocks", "at least 5 min ahead of that of Kafka", "timedatectl", env=environment(**clock.environment())), 60,
                       "an event to come between two questions of the doctor's", despite=AssertionError)
        assert check_of(examine(site)[1], "clocks")["state"] == "ok"
    finally:
        is_over.set()
        publishing.join()
        site.publisher.flush()


def test_doctor_says_whose_clock_it_did_not_ask(site):
    site.set_topic(message_timestamp_type="CreateTime")
    check = check_of(examine(site)[1], "clocks")
    assert check["state"] == "not asked" and "Kafka's" in check["said"] and "message.timestamp.type = CreateTime" in check["said"], check
    check = check_of(examine(site, "--set", "kafka.bootstrap.servers=127.0.0.1:1")[1], "clocks")
    assert check["state"] == "not asked" and "Kafka's" in check["said"], check


# ---- what somebody holds, and what this host shows

def test_doctor_names_who_keeps_us_waiting(sound):
    with sound.database.session() as holder, sound.database.session() as waiter:
        with holder.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE tallymill.refreshes IN ACCESS EXCLUSIVE MODE")
        with waiter.cursor() as cursor:
            cursor.execute("SET application_name = 'tallymill-consumer'; SET lock_timeout = '60s'")
        waits = run_beside(waiter, "BEGIN; LOCK TABLE tallymill.refreshes; ROLLBACK")
        wait_until(lambda: sound.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s", waiter.info.backend_pid), 30, "the lock to be waited for")
        must_find(sound, "locks", f"pid {waiter.info.backend_pid}", f"pg_terminate_backend({holder.info.backend_pid})")
        holder.close()
        waits.join()


def run_beside(connection, statement):
    """A thread that runs a statement."""
    def work():
        with connection.cursor() as cursor:
            cursor.execute(statement)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_doctor_names_a_disk_that_is_nearly_full(sound):
    held = int(sound.database.value("SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) + pg_size_bytes(current_setting('max_wal_size'))"))
    hit = must_find(sound, "disk", "postgres.disk_size", "pg_total_relation_size", "--set", f"postgres.disk_size={held + held // 20}")
    assert "free" in hit["what"]
    code, answer = examine(sound, "--set", f"postgres.disk_size={4 * held}")
    assert code == 0 and not findings_of(answer), answer


@pytest.mark.parametrize("hours", [1, -1])
def test_doctor_names_a_clock_that_is_wrong(sound, hours):
    with Clock(offset=hours * 3600) as clock:
        env = environment(**clock.environment())
        if IS_SECURE and hours < 0:  # to this host the servers' certificates are not valid yet
            assert "this machine's clock is wrong" in must_find(sound, "postgres", "certificate", "postgres.dsn", env=env)["what"]
            must_find(sound, "kafka", "not valid yet", "set this machine's clock right", env=env)
        else:
            must_find(sound, "clocks", f"{'ahead of' if hours > 0 else 'behind'} that of Postgres", "timedatectl set-ntp true", env=env)


# ---- Kafka's topic, and what waits in it

def test_doctor_names_what_waits_while_nobody_stores_it(site):
    site.send(events(10))
    site.drain()
    site.fold()
    site.send(events(500, seed=2))
    hit = must_find(site, "workers", "500 events wait", "systemctl start tallymill-consumer@1")
    assert "no worker is connected" in hit["what"]


def test_doctor_names_a_worker_that_hangs(make_site):
    site = make_site(partitions=1)
    worker = site.worker()
    site.send(events(10))
    site.wait_until_drained()
    worker.signal(signal.SIGSTOP)
    site.send(events(100, seed=2))
    site.database.run("UPDATE tallymill.batches SET committed_at = now() - interval '1 minute'")
    hit = must_find(site, "workers", "topic partition 0: 100 events wait", "journalctl -u 'tallymill-consumer@*' -n 50")
    assert "tallymill-consumer --check" in hit["remedy"] and "is refused" in hit["why"], hit
    worker.signal(signal.SIGCONT)


def test_doctor_names_a_topic_that_loses_events(site):
    site.set_topic(cleanup_policy="compact")
    must_find(site, "topic", "cleanup.policy = compact", "--add-config cleanup.policy=delete")
    site.set_topic(max_message_bytes="1000", message_timestamp_type="CreateTime", retention_ms="1000")
    code, answer = examine(site)
    assert code == 0, answer
    pick(answer, "topic", "max.message.bytes = 1000", "--add-config max.message.bytes=4194304", grade="warning")
    pick(answer, "topic", "CreateTime", "--add-config message.timestamp.type=LogAppendTime", grade="warning")
    pick(answer, "retention", "retention.ms = 1000", "--add-config retention.ms=604800000", grade="warning")
    site.set_topic(retention_ms="1000")
    site.send([event()])
    hit = must_find(site, "retention", "retention.ms = 1000", "--add-config retention.ms=604800000")
    assert "events wait for" in hit["why"]


def test_doctor_names_a_topic_that_was_made_anew(make_site):
    site = make_site(partitions=1)
    site.send(events(20))
    site.drain()
    site.fold()
    site.delete_topic()
    must_find(site, "kafka", "does not exist", "tallymill migrate")
    site.tallymill("migrate")
    must_find(site, "topic", "is not the one that the books are about", f"tallymill topic renew {site.topic} --yes")
