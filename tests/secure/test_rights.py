"""What each program needs, no more and no less: docs/security.md has the table."""

import pytest

from integration.harness.publisher import events
from integration.harness.waiting import wait_until
from integration.harness.secured import ADMINISTRATOR, PRODUCER, WORKER

from .matrix import last_line


def test_all_programs_work_with_exactly_the_rights_of_the_table(site):
    secured = site.secured
    worker, producer = secured.login("worker", WORKER), secured.login("producer", PRODUCER)
    auditor, viewer = secured.login("auditor", ("topic:Read",)), secured.login("viewer", ("topic:Describe",))
    assert site.produce("--generate", "500", *producer.words).code == 0
    checked = site.run("tallymill-consumer", "--check", *worker.words)
    assert checked.code == 0 and "our rights: good" in checked.out, checked
    site.must("tallymill-consumer", "--until-end", *worker.words)
    site.fold()
    assert site.outcomes()[0] == 500
    assert site.tallymill("audit", *auditor.words).code == 0
    shown = site.tallymill("status", *viewer.words)
    assert shown.code == 0 and "lag" in shown.out, shown
    migrated = site.tallymill("migrate", *secured.login("administrator", ADMINISTRATOR).words)
    assert migrated.code == 0 and "could not be read" not in migrated.err, migrated


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
