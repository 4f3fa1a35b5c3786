"""A client that somebody left open in a transaction holds a lock: whichever program of ours waits for it, or gives up on it, says who and how to end that.

What holds is never touched by us, nothing is lost, and once it is gone the program goes on. The commands meet their locks side by side, because each waits for
ten seconds before it gives up.
"""

import concurrent.futures
import contextlib

import psycopg2
import pytest

from .harness.monitor import Monitor
from .harness.publisher import events
from .harness.site import Site
from .harness.waiting import wait_until

EDITOR = "forgotten editor"
LEADER_LOCK = "pg_advisory_xact_lock(1952541804, 1)"
MIGRATE_LOCK = "pg_advisory_xact_lock(hashtextextended('tallymill.migrate', 0))"
EXCLUSIVE = "AccessExclusiveLock"


@contextlib.contextmanager
def forgotten(site, *statements):
    """Yields the server process of the client, which is ended behind the block."""
    client = psycopg2.connect(site.database.dsn, application_name=EDITOR)
    try:
        with client.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("SELECT pg_backend_pid()")
            yield cursor.fetchone()[0]
    finally:
        client.close()


def missing(text, pid, *more):
    """What a message must hold and does not: holder, state, age and remedy, and what more is asked for (object, mode)."""
    wanted = (f"pid {pid} ({EDITOR}, login ", ", idle in transaction)", " old; to end it: ", f"SELECT pg_terminate_backend({pid})", *more)
    return [part for part in wanted if part not in text]


# What the forgotten client has run. The first object that a command meets is the one that it names.
STATEMENTS = (
    "LOCK TABLE tallymill.batches, tallymill.days, tallymill.gaps, analytics_daily_stats IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE tallymill.dead_letters ADD COLUMN left_open integer",
    "SELECT FROM tallymill.clusters FOR UPDATE",
    "SELECT FROM tallymill.owners FOR UPDATE",
)

# words, exit code, what is named as held
COMMANDS = {
    "status": (("status",), 1, (EXCLUSIVE,)),
    "audit": (("audit",), 4, (EXCLUSIVE,)),
    "audit without Kafka": (("audit", "--no-kafka"), 4, (EXCLUSIVE,)),
    "verify": (("verify",), 4, (EXCLUSIVE,)),
    "dlq list": (("dlq",), 1, (EXCLUSIVE, "tallymill.dead_letters")),
    "dlq show": (("dlq", "show", "--at", "0:0"), 1, (EXCLUSIVE, "tallymill.dead_letters")),
    "dlq replay": (("dlq", "replay"), 1, (EXCLUSIVE,)),
    "dlq discard": (("dlq", "discard", "0:0", "--yes"), 1, (EXCLUSIVE, "tallymill.dead_letters")),
    "rebuild": (("rebuild", "--no-wait", "2026-01-01"), 1, (EXCLUSIVE,)),
    "topic retire": (("topic", "retire", "gone", "--yes"), 1, ("holds a row of tallymill.clusters",)),
    "reset": (("reset", "--at", "0:{end}", "--yes"), 1, ("holds a row of tallymill.owners",)),
}


@pytest.fixture(scope="module")
def refusals(stack, tmp_path_factory):
    """Of each command what it answered while the client holds all that, and the client's server process."""
    site = Site(stack, tmp_path_factory.mktemp("forgotten"), partitions=1)
    try:
        site.publisher.send_bytes(b"\xc1", key=b"bad", partition=0)
        site.send(events(5))
        site.drain()
        site.fold()
        site.database.run("INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES ('gone', 'x', 'y')")
        site.send(events(3, seed=2))
        end = site.end_offsets()[0]
        with forgotten(site, *STATEMENTS) as pid, concurrent.futures.ThreadPoolExecutor(len(COMMANDS)) as pool:
            running = {case: pool.submit(site.tallymill, *(word.format(topic=site.topic, end=end) for word in words))
                       for case, (words, _, _) in COMMANDS.items()}
            answers = {case: answer.result() for case, answer in running.items()}
        assert site.tallymill("audit", "--topic", site.topic).code == 0
        yield pid, answers
    finally:
        site.close()


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_names_who_holds_the_lock_that_it_gives_up_on(refusals, case):
    pid, answers = refusals
    _, code, named = COMMANDS[case]
    refused = answers[case]
    assert refused.code == code and not missing(refused.err + refused.out, pid, *named), refused


@pytest.fixture
def make_login_site(make_site):
    """A site whose programs have a login of their own, as they should: a client of the worker's own login is taken for a frozen worker, and ended."""
    def make(sees_all=True):
        site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
        login = f"programs_{site.topic.replace('-', '_')}"
        site.log_in_as(login)
        site.database.run(f"GRANT tallymill_read TO {login}" + (f"; GRANT pg_read_all_stats TO {login}" if sees_all else ""))
        return site
    return make


@pytest.mark.parametrize("words, statement, named", [
    (("migrate",), f"SELECT {MIGRATE_LOCK}", "holds the advisory lock of tallymill migrate"),
    (("refresh", "daily"), "REFRESH MATERIALIZED VIEW analytics_view_daily", "AccessExclusiveLock on public.analytics_view_daily"),
])
def test_a_command_that_waits_for_longer_says_so_meanwhile_and_goes_on(make_site, words, statement, named):
    site = make_site()
    with forgotten(site, statement) as pid:
        waiting = site.start("tallymill", *words)
        wait_until(lambda: not missing(waiting.log(), pid, named), 30, waiting.log)
    assert waiting.wait(60) == 0, waiting.log()


@pytest.mark.parametrize("statement, named", [
    ("LOCK TABLE analytics_events IN SHARE MODE", ("ShareLock on public.analytics_events",)),
    ("LOCK TABLE tallymill.batches IN ACCESS EXCLUSIVE MODE", (EXCLUSIVE, "tallymill.batches")),
    ("SELECT FROM tallymill.owners FOR UPDATE", ("holds a row of tallymill.owners",)),
])
def test_a_worker_shows_who_keeps_its_batch_from_being_stored(make_login_site, statement, named):
    site = make_login_site()
    worker = site.worker()
    monitor = Monitor(worker)
    site.send(events(10))
    site.wait_until_drained()
    with forgotten(site, statement) as pid:
        site.send(events(10, seed=2))
        wait_until(lambda: not missing(monitor.health()[1].get("reason", ""), pid, *named), 30, lambda: monitor.health())
        if "analytics_events" in statement:
            wait_until(lambda: not missing(site.must("tallymill", "status").out, pid, *named), 60, lambda: site.must("tallymill", "status").out)
            wait_until(lambda: not missing(worker.log(), pid, *named), 60, worker.log)
    site.wait_until_drained()
    monitor.wait_for_health(200)
    assert worker.stop() == 0
    site.fold()
    site.assert_holds()


def test_a_worker_that_cannot_claim_names_who_holds_the_row(make_login_site):
    site = make_login_site()
    site.send(events(10))
    site.drain()
    with forgotten(site, "SELECT FROM tallymill.owners FOR UPDATE") as pid:
        worker = site.worker()
        wait_until(lambda: not missing(worker.log(), pid, "holds a row of tallymill.owners"), 60, worker.log)
    site.send(events(10, seed=2))
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    site.assert_holds()


@pytest.mark.parametrize("statement, named", [
    ("LOCK TABLE analytics_daily_stats IN SHARE MODE", ("ShareLock on public.analytics_daily_stats",)),
    (f"SELECT {LEADER_LOCK}", ("the advisory lock of the aggregator's cycles",)),
])
def test_the_aggregator_shows_who_keeps_it_from_its_work(make_login_site, statement, named):
    site = make_login_site()
    aggregator = site.aggregator()
    monitor = Monitor(aggregator)
    monitor.wait_for_health(200)
    with forgotten(site, statement) as pid:
        site.send(events(10))
        site.drain()
        wait_until(lambda: not missing(monitor.health()[1].get("reason", ""), pid, *named), 60, lambda: (monitor.health(), aggregator.log()))
        assert not missing(aggregator.log(), pid, *named), aggregator.log()
    site.wait_until_folded()
    monitor.wait_for_health(200)
    assert aggregator.stop() == 0
    site.assert_holds()


def test_a_login_that_may_not_see_the_holder_s_state_names_it_all_the_same(make_login_site):
    site = make_login_site(sees_all=False)
    with forgotten(site, "LOCK TABLE tallymill.batches IN ACCESS EXCLUSIVE MODE") as pid:
        status = site.start("tallymill", "status")
        parts = (f"pid {pid} ({EDITOR}, login ", "hidden from this login", "AccessExclusiveLock on tallymill.batches", f"pg_terminate_backend({pid})")
        wait_until(lambda: all(part in status.log() for part in parts), 30, status.log)


def test_who_waits_behind_another_that_waits_names_the_one_at_the_end(make_site):
    """The ALTER waits for the reader, and we wait for the ALTER: to end the ALTER would not help for long."""
    site = make_site()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, forgotten(site, "SELECT count(*) FROM tallymill.batches") as pid:
        pool.submit(site.database.run, "BEGIN; LOCK TABLE tallymill.batches IN ACCESS EXCLUSIVE MODE; COMMIT")
        wait_until(lambda: site.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tallymill.batches'::regclass") > 0, 30,
                   "the LOCK to wait")
        status = site.start("tallymill", "status")
        wait_until(lambda: not missing(status.log(), pid, "AccessShareLock on tallymill.batches"), 30, status.log)


def test_a_commit_that_waits_for_a_standby_is_told(make_site):
    """It waits without limit and no time-out ends it: who is waited for is in log, /health, status and doctor, and nothing is lost or stored twice."""
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
    worker = site.worker()
    site.send(events(20, seed=1))
    site.wait_until_drained()
    settled = psycopg2.connect(site.database.dsn)
    settled.autocommit = True
    with settled.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        cursor.execute("SELECT pg_reload_conf()")
        try:
            site.send(events(20, seed=2))
            wait_until(lambda: "synchronous_standby_names" in worker.log(), 60, lambda: f"the worker to say what its COMMIT waits for:\n{worker.log()}")
            shown = {words[0]: site.tallymill(*words).out for words in (("status",), ("doctor",))}
        finally:
            cursor.execute("ALTER SYSTEM RESET synchronous_standby_names")
            cursor.execute("SELECT pg_reload_conf()")
    settled.close()
    for text in (*shown.values(), worker.log()):
        assert "a standby that has not confirmed holds the COMMIT" in text and "ALTER SYSTEM RESET synchronous_standby_names" in text, text
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    assert site.outcomes() == (40, 0, 0, 0)
    site.assert_holds()

