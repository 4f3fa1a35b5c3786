"""Servers that ask who comes, in short: the whole matrix is tests/secure (`tests/run secure`)."""


import pytest

from secure.rotation import PATIENT, hang_up, members, must_have_stored_all, under_load

from .harness.secured import PRODUCER, WORKER, Secured
from .harness.site import Site
from .harness.stack import own_stack
from .harness.waiting import wait_until
from .test_doctor import check_of, examine, must_find


@pytest.fixture(name="secured_stack", scope="module")
def _secured_stack():
    with own_stack(secure=True) as started:
        yield started


@pytest.fixture(name="site")
def _site(secured_stack, tmp_path):
    made = Site(secured_stack, tmp_path, **PATIENT)
    made.secured = Secured(made)
    yield made
    made.close()


def test_logins_with_exactly_their_rights_work_and_those_with_less_are_told_what_is_missing(site):
    worker, producer = site.secured.login("worker", WORKER), site.secured.login("producer", PRODUCER)
    for login, program, words, named in (
            (worker, "tallymill-produce", ("--generate", "5"), "--operation Write --topic"),
            (producer, "tallymill-consumer", ("--check",), "--operation Read --topic")):
        refused = site.run(program, *words, *login.words)
        assert refused.code == 2 and named in refused.err and login.name in refused.err, refused
    worker.tell("not the password")
    refused = site.run("tallymill-consumer", "--until-end", *worker.words)
    assert refused.code == 2 and "kafka.sasl.password" in refused.err and "not the password" not in refused.err, refused
    worker.tell("a good one")
    assert sum(site.end_offsets().values()) == 0 and site.outcomes() == (0, 0, 0, 0)
    assert site.produce("--generate", "200", *producer.words).code == 0
    site.must("tallymill-consumer", "--until-end", *worker.words)
    assert site.outcomes() == (200, 0, 0, 0)
    assert site.produce("--generate", "5", *producer.words).code == 0
    nobody = site.secured.login("nobody", ())
    for words in (("topic", "retire", site.topic, "--yes"), ("topic", "renew", site.topic, "--yes"), ("audit",)):  # a topic that may not be seen is not one that is gone
        refused = site.tallymill(*words, *nobody.words)
        assert refused.code != 0 and "--operation Describe --topic" in refused.out + refused.err, refused
        assert "retire" not in refused.out and "not exist" not in refused.out + refused.err, refused
    assert site.database.value("SELECT retired_at IS NULL FROM tallymill.clusters")


def test_doctor_names_a_login_that_is_refused_or_lacks_a_right(site):
    worker, producer = site.secured.login("worker", WORKER), site.secured.login("producer", PRODUCER)
    rights = must_find(site, "acls", "Read the topic", "--operation Read --topic", *producer.words)
    assert producer.name in rights["remedy"]
    worker.tell("not the password")
    refused = must_find(site, "kafka", "refuses the login", "kafka.sasl.password", *worker.words)
    assert "not the password" not in str(refused)
    with site.secured.database_login("reader", "tallymill_read") as (words, name):
        site.database.run(f"ALTER ROLE {name} PASSWORD 'another one'")
        must_find(site, "postgres", name, "ALTER ROLE", *words)


def test_doctor_does_not_advise_whoever_looks_to_join_the_workers_group(site):
    looks = site.secured.login("looks", ("topic:Read",))
    with site.secured.database_login("reader", "tallymill_read") as (words, _):
        code, answer = examine(site, *looks.words, *words)
        said = check_of(answer, "acls")
        assert code == 0 and said["state"] == "not asked" and "tallymill-consumer --check" in said["said"] and "kafka-acls" not in str(answer), answer
    with site.secured.database_login("worker", "tallymill_ingest") as (words, _):
        must_find(site, "acls", "group", "--operation Read --group", *looks.words, *words)


def test_a_password_of_kafka_is_changed_by_a_signal_and_a_wrong_one_is_not_taken(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words, instance="one")
    with under_load(site):
        site.wait_until_drained()
        login.tell("hunter2")
        said = hang_up(worker, "were not taken")
        assert all(word in said for word in ("kafka.sasl.password", site.stack.kafka["bootstrap.servers"], login.name)), said
        login.change_password("another one")
        login.tell("another one")
        hang_up(worker, "has logged in and takes over")
        site.wait_until_drained()
        wait_until(lambda: members(site) == 1, 60, lambda: f"one member in the group, not {members(site)}")
    must_have_stored_all(site, worker, "another one", "hunter2")
