"""What changes under a running worker: rights that are taken away and given back, and passwords. Nothing is lost, nothing is stored twice."""

import pytest

from integration.harness.monitor import Monitor
from integration.harness.publisher import events
from integration.harness.secured import WORKER, dsn_with
from integration.harness.waiting import wait_until
from integration.test_readiness import Notices

REFUSED = "Kafka refuses this worker"
BACK = "Kafka lets this worker"
REFUSALS = "tallymill_consumer_kafka_refused"


@pytest.mark.parametrize("taken", [("topic:Read",), ("group:Read",), ("topic:Read", "group:Read")])
def test_rights_that_are_taken_away_and_given_back(site, taken):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    site.send(events(300))
    site.wait_until_drained()
    before = len(worker.log())
    login.forbid(*taken)
    wait_until(lambda: REFUSED in worker.log()[before:], 90, lambda: f"the worker to say so:\n{worker.log()[before:]}")
    site.send(events(300, seed=2))
    assert worker.is_running()
    login.allow(*taken)
    site.wait_until_drained(deadline=120)
    assert worker.is_running() and worker.stop() == 0
    site.assert_holds()


@pytest.mark.parametrize("kept", [(), ("topic:Describe",)])
def test_a_right_to_read_that_is_taken_away_shows_until_it_is_given_back(site, kept):
    """librdkafka says so once and no more."""
    login = site.secured.login("worker", (*WORKER, *kept))
    worker = site.worker(*login.words, "--set", "metrics.listen=127.0.0.1:0")
    site.send(events(300))
    site.wait_until_drained()
    monitor = Monitor(worker)
    login.forbid("topic:Read")
    if kept:
        site.send(events(300, seed=2))  # what a look at the topic does not show
    reason = monitor.wait_for_health(503, deadline=150)["reason"]
    assert "does not let this login" in reason and f"--operation Read --topic {site.topic}" in reason, reason
    (told,) = [line for line in worker.log().splitlines() if REFUSED in line]
    assert f"--operation Read --topic {site.topic}" in told and login.name in told, told
    assert monitor.samples()[REFUSALS] == 1
    login.allow("topic:Read")
    monitor.wait_for_health(200, deadline=150)
    assert monitor.samples()[REFUSALS] == 0 and BACK in worker.log()
    assert worker.stop() == 0


def test_a_group_that_is_refused_is_told_once_with_what_grants_it(site, tmp_path):
    login, notices = site.secured.login("worker", WORKER), Notices(tmp_path)
    group = site.topic.replace("events-", "group-")
    grants = f"--operation Read --group {group}"
    site.environment = {"NOTIFY_SOCKET": notices.path}
    worker = site.worker(*login.words, "--set", "metrics.listen=127.0.0.1:0", "--set", "log.level=debug")
    site.send(events(300))
    site.wait_until_drained()
    monitor = Monitor(worker)
    login.forbid("group:Read")
    reason = monitor.wait_for_health(503, deadline=90)["reason"]
    assert "does not let this login into the consumer group" in reason and grants in reason, reason
    assert monitor.samples()[REFUSALS] == 1
    wait_until(lambda: worker.log().count("GROUP_AUTHORIZATION_FAILED") >= 3, 60, worker.log)  # the tries in between, which level debug has
    told = [line for line in worker.log().splitlines() if "level=debug" not in line and "facility=SESSTMOUT" not in line  # librdkafka's, once
            and ("uthorization" in line or REFUSED in line)]
    assert len(told) == 1 and all(word in told[0] for word in ("level=warn", grants, login.name, "kafka-acls --add")), told
    wait_until(lambda: grants in notices.status(), 30, lambda: f"the unit's status line to say so: {notices.look()[-3:]}")
    assert "no lag" not in notices.status(), notices.status()
    site.send(events(300, seed=2))
    site.database.run("UPDATE tallymill.batches SET committed_at = now() - interval '1 minute'")
    found = wait_until(lambda: (done := site.tallymill("doctor")) and grants in done.out and done.out, 60, "doctor to have it of the worker")
    assert "its worker hangs" not in found and "tallymill-consumer --check" in found and "remedy: kafka-acls --add" in found, found
    login.allow("group:Read")
    monitor.wait_for_health(200, deadline=120)
    assert BACK in worker.log() and monitor.samples()[REFUSALS] == 0
    site.wait_until_drained(deadline=120)
    wait_until(lambda: "no lag" in notices.status(), 30, lambda: f"the status line of before: {notices.look()[-3:]}")
    assert worker.is_running() and worker.stop() == 0
    site.environment = {}
    notices.socket.close()
    site.assert_holds()


def test_a_claim_without_a_right_that_was_there_waits_for_it(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    site.send(events(300))
    site.wait_until_drained()
    login.forbid("topic:Read")
    site.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallymill-consumer' AND datname = current_database()")
    wait_until(lambda: REFUSED in worker.log(), 60, lambda: f"the claim to wait:\n{worker.log()[-2000:]}")
    site.send(events(300, seed=2))
    assert worker.is_running()
    login.allow("topic:Read")
    site.wait_until_drained(deadline=120)
    assert worker.stop() == 0
    told = [line for line in worker.log().splitlines() if "level=warn" in line and ("uthorization" in line or REFUSED in line)]
    assert len(told) == 1 and f"--operation Read --topic {site.topic}" in told[0], told
    site.assert_holds()


def test_a_password_of_kafka_is_changed_with_a_restart(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    site.send(events(300))
    site.wait_until_drained()
    login.change_password("another one")
    site.send(events(300, seed=2))  # what is connected goes on
    site.wait_until_drained()
    login.tell("another one")
    assert worker.stop() == 0
    site.send(events(300, seed=3))
    worker = site.worker(*login.words)
    site.wait_until_drained()
    assert worker.stop() == 0 and "another one" not in worker.log()
    site.assert_holds()


def test_a_passfile_that_is_of_no_use_for_a_while_is_waited_for(site):
    """libpq passes over one that is missing, has no line for the server, or may be read by others, and comes without a password."""
    with site.secured.database_login("waiting", "tallymill_ingest", "tallymill_aggregate") as (words, login):
        passfile = site.folder / f"{login}.pgpass"
        own = passfile.read_text()
        worker, aggregator = site.worker(*words), site.aggregator(*words)
        site.send(events(300))
        site.wait_until_drained()
        site.wait_until_folded()
        for number, spoil in enumerate((passfile.unlink, lambda: passfile.chmod(0o644), lambda: passfile.write_text("no-such-host:*:*:*:x\n"))):
            before = [len(program.log()) for program in (worker, aggregator)]
            spoil()
            site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
            site.send(events(300, seed=number + 2))
            for program, start in zip((worker, aggregator), before):
                said = wait_until(lambda one=program, at=start: "no password: postgres.dsn" in one.log()[at:] and one.log()[at:], 60, program.log)
                assert "mode 600" in said and program.is_running(), said
            passfile.unlink(missing_ok=True)
            passfile.touch(0o600)
            passfile.write_text(own)
            site.wait_until_drained(deadline=120)
            site.wait_until_folded(deadline=120)
        assert worker.is_running() and worker.stop() == 0 and aggregator.is_running() and aggregator.stop() == 0
    site.assert_holds()


def test_a_password_of_postgres_is_changed_in_its_file_without_a_restart(site):
    login, passfile = f"w_{site.topic.replace('-', '_')}", site.folder / "pgpass"

    def write(password):
        passfile.write_text(f"*:*:*:*:{password}\n")
        passfile.chmod(0o600)

    site.database.run(f"CREATE ROLE {login} LOGIN PASSWORD 'first'; GRANT tallymill_ingest TO {login}")
    write("first")
    worker = site.worker("--set", f"postgres.dsn={dsn_with(site.database.dsn, user=login, passfile=passfile)}")
    site.send(events(300))
    site.wait_until_drained()
    site.database.run(f"ALTER ROLE {login} PASSWORD 'second'")
    site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
    site.send(events(300, seed=2))
    wait_until(lambda: "password authentication failed" in worker.log(), 60, "the worker to be refused")
    write("second")
    site.wait_until_drained()
    assert worker.is_running() and worker.stop() == 0 and "second" not in worker.log().replace("seconds", "")
    site.assert_holds()
    site.database.run(f"REVOKE tallymill_ingest FROM {login}; DROP ROLE {login}")
