"""What changes under a running worker: rights that are taken away and given back, and passwords. Nothing is lost, nothing is stored twice."""

import pytest

from integration.harness.monitor import Monitor
from integration.harness.publisher import events
from integration.harness.secured import WORKER, dsn_with
from integration.harness.waiting import wait_until


@pytest.mark.parametrize("taken", [("topic:Read",), ("group:Read",), ("topic:Read", "group:Read")])
def test_rights_that_are_taken_away_and_given_back(site, taken):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    site.send(events(300))
    site.wait_until_drained()
    before = len(worker.log())
    login.forbid(*taken)
    wait_until(lambda: "uthorization failed" in worker.log()[before:], 60, lambda: f"the worker to say so:\n{worker.log()[before:]}")
    site.send(events(300, seed=2))
    assert worker.is_running()
    login.allow(*taken)
    site.wait_until_drained(deadline=120)
    assert worker.is_running() and worker.stop() == 0
    site.assert_holds()


def test_a_right_to_read_that_is_taken_away_shows_until_it_is_given_back(site):
    """librdkafka says so once and no more."""
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words, "--set", "metrics.listen=127.0.0.1:0")
    site.send(events(300))
    site.wait_until_drained()
    monitor = Monitor(worker)
    login.forbid("topic:Read")
    assert "does not let this login" in monitor.wait_for_health(503, deadline=150)["reason"]
    login.allow("topic:Read")
    monitor.wait_for_health(200, deadline=150)
    assert worker.stop() == 0


def test_a_claim_without_a_right_that_was_there_waits_for_it(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    site.send(events(300))
    site.wait_until_drained()
    login.forbid("topic:Read")
    site.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallymill-consumer' AND datname = current_database()")
    wait_until(lambda: "cannot begin reading, trying again" in worker.log(), 60, lambda: f"the claim to wait:\n{worker.log()[-2000:]}")
    site.send(events(300, seed=2))
    assert worker.is_running()
    login.allow("topic:Read")
    site.wait_until_drained(deadline=120)
    assert worker.stop() == 0
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
