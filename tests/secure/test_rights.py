"""What each program needs, no more and no less: docs/security.md has the table."""

import contextlib
import itertools
import json

import pytest

from integration.harness.monitor import Monitor
from integration.harness.publisher import event, events
from integration.harness.waiting import wait_until
from integration.harness.secured import ADMINISTRATOR, PRODUCER, WORKER
from integration.test_topic_identity import make_topic

from .matrix import last_line


@pytest.fixture(name="as_listed")
def _as_listed(site):
    """Runs a program with logins of its own that have exactly the rights of a row: of Kafka's, and one role of Postgres."""
    with contextlib.ExitStack() as logins:
        def run(program, *words, rights=(), role=None, code=0):
            name = f"l{len(site.programs)}{next(numbers)}"
            options = list(site.secured.login(name, rights).words)
            if role:
                options += logins.enter_context(site.secured.database_login(name, role))[0]
            done = site.run(program, *words, *options)
            assert done.code == code, done
            return done

        numbers = itertools.count()
        yield run


def test_all_programs_work_with_exactly_the_rights_of_the_table(site, as_listed):
    as_listed("tallymill-produce", "--generate", "500", rights=PRODUCER)
    site.publisher.send_bytes(b"\xc1", b"", 0)
    site.publisher.flush()
    checked = as_listed("tallymill-consumer", "--check", rights=WORKER, role="tallymill_ingest")
    assert "our rights: good" in checked.out, checked
    as_listed("tallymill-consumer", "--until-end", rights=WORKER, role="tallymill_ingest")
    as_listed("tallymill-aggregator", "--once", role="tallymill_aggregate")
    assert site.outcomes() == (500, 0, 1, 0)
    as_listed("tallymill", "audit", rights=("topic:Read",), role="tallymill_read")
    as_listed("tallymill", "verify", role="tallymill_read")
    shown = as_listed("tallymill", "status", rights=("topic:Describe",), role="tallymill_read")
    assert "lag" in shown.out, shown
    as_listed("tallymill", "refresh", role="tallymill_aggregate")
    as_listed("tallymill", "rebuild", "--no-wait", "2026-03-01", role="tallymill_aggregate")
    as_listed("tallymill", "dlq", "list", role="tallymill_read")
    as_listed("tallymill", "lag", rights=("topic:Read",), role="tallymill_read")
    as_listed("tallymill", "export", "daily", role="tallymill_read")
    place = site.database.value("SELECT topic_partition || ':' || kafka_offset FROM tallymill.dead_letters")
    as_listed("tallymill", "dlq", "show", "--at", place, role="tallymill_admin")
    replayed = as_listed("tallymill", "dlq", "replay", "--json", rights=PRODUCER, role="tallymill_admin")
    assert json.loads(replayed.out)["sent"] == 1 and sum(site.end_offsets().values()) == 502, replayed
    site.publisher.send_bytes(b"\xc1", b"", 0)
    site.publisher.flush()
    as_listed("tallymill", "reset", "--at", "0:end", "--yes", rights=("topic:Describe",), role="tallymill_admin")
    migrated = as_listed("tallymill", "migrate", rights=ADMINISTRATOR, role="tallymill_admin")
    assert "could not be read" not in migrated.err, migrated
    later = f"{site.topic}-later"
    maker = site.secured.login("maker", ())
    site.secured.kafka.allow(maker.name, [("topic", later, "Create"), ("topic", later, "Describe")])
    made = site.tallymill("migrate", *maker.words, "--set", f"topics.events={later}")
    assert made.code == 0 and later in site.stack.admin.list_topics(timeout=30).topics, made


def test_books_and_dead_letters_are_closed_with_exactly_the_rights_of_the_table(site, as_listed):
    """Each is refused with one right less, and changes nothing then."""
    site.send([*events(20), event(event_name="")])
    site.drain()
    place = site.database.value("SELECT topic_partition || ':' || kafka_offset FROM tallymill.dead_letters")
    discard = ("tallymill", "dlq", "discard", place, "--yes")
    renew, retire = (("tallymill", "topic", what, site.topic, "--yes") for what in ("renew", "retire"))
    refused = as_listed(*discard, role="tallymill_read", code=2)
    assert "tallymill_admin" in refused.err, refused
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NULL") == 1
    as_listed(*discard, role="tallymill_admin")
    assert site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE emptied_at IS NULL") == 0
    for command, state in ((renew, "made anew"), (retire, "gone")):
        site.delete_topic()
        if state == "made anew":
            make_topic(site, 4)
        books = site.database.rows("SELECT * FROM tallymill.clusters ORDER BY 1")
        refused = as_listed(*command, rights=("topic:Describe",), role="tallymill_read", code=2)
        assert "tallymill_admin" in refused.err, refused
        refused = as_listed(*command, rights=("group:Read",), role="tallymill_admin", code=2)
        assert "--operation Describe --topic" in refused.err, refused
        assert site.database.rows("SELECT * FROM tallymill.clusters ORDER BY 1") == books
        as_listed(*command, rights=("topic:Describe",), role="tallymill_admin")
        assert site.database.rows("SELECT * FROM tallymill.clusters ORDER BY 1") != books


@pytest.mark.parametrize("program, rights, missing", [
    ("tallymill-consumer", ("topic:Describe", "group:Read"), ("Read", "topic")),
    ("tallymill-consumer", ("group:Read",), ("Describe", "topic")),
    ("tallymill-consumer", ("topic:Read",), ("Read", "group")),
    ("tallymill-produce", ("topic:Describe",), ("Write", "topic")),
    ("tallymill-produce", ("group:Read",), ("Write", "topic")),
])
def test_a_missing_right_is_named_with_what_grants_it(site, program, rights, missing):
    operation, resource = missing
    login = site.secured.login("limited", rights)
    commands = [("--until-end",), ("--check",)] if program == "tallymill-consumer" else [("--generate", "5")]
    for words in commands:
        refused = site.run(program, *words, *login.words, deadline=60)
        said = last_line(refused)
        assert refused.code == 2 and login.name in said and site.stack.kafka["bootstrap.servers"] in said, refused
        assert f"--operation {operation} --{resource}" in said, refused
    assert sum(site.end_offsets().values()) == 0 and site.database.value("SELECT count(*) FROM tallymill.owners") == 0


def test_check_beside_loaded_workers_moves_no_epoch_and_rebalances_nobody(site):
    """Also with the name of a running worker, which it must not end."""
    workers = [site.worker(instance=f"w{number}") for number in (1, 2)]
    site.send(events(2000))
    site.wait_until_drained()
    wait_until(lambda: site.database.value("SELECT count(DISTINCT owner) FROM tallymill.owners") == 2, 60, "both workers to own their share")
    before = site.database.rows("SELECT topic_partition, epoch, owner FROM tallymill.owners ORDER BY 1")
    for number in range(100):
        if number % 10 == 0:
            site.send(events(200, seed=number + 2))
        checked = site.run("tallymill-consumer", "--check", "--set", f"consumer.instance=w{number % 3}")
        assert checked.code == 0, checked
    site.wait_until_drained()
    assert site.database.rows("SELECT topic_partition, epoch, owner FROM tallymill.owners ORDER BY 1") == before
    assert all(worker.is_running() for worker in workers)
    for worker in workers:
        assert worker.stop() == 0
    site.assert_holds()


def test_a_worker_that_cannot_know_how_long_kafka_keeps_the_topic_says_so(site):
    """Nothing else of it would be missed: the alert for a lag near that would be silent for ever."""
    limited = site.secured.login("limited", WORKER)
    worker = site.worker(*limited.words)
    wait_until(lambda: "comes near it" in worker.log(), 30, lambda: f"the warning; it said: {worker.log()}")
    (line,) = [line for line in worker.log().splitlines() if "comes near it" in line]
    assert "level=warn" in line and f"'User:{limited.name}' --operation DescribeConfigs --topic {site.topic}" in line, line
    assert worker.stop() == 0
    allowed = site.secured.login("allowed", (*WORKER, "topic:DescribeConfigs"))
    worker = site.worker(*allowed.words, "--set", "metrics.listen=127.0.0.1:0")
    Monitor(worker).wait_for("the retention", lambda samples: samples.get("tallymill_consumer_retention_seconds") == 604800)
    assert "comes near it" not in worker.log() and worker.stop() == 0
