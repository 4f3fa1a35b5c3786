"""Passwords and certificates that are changed while events keep coming. Nothing is lost, nothing is stored twice, nobody is left behind in the group."""

import shutil

import pytest

from integration.harness.secured import WORKER, Secured, dsn_with
from integration.harness.waiting import wait_until

from .matrix import other_authority
from .rotation import PATIENT, hang_up, members, must_connect, must_have_stored_all, postgres_files, reconnect, restart_broker, under_load

TOOK_OVER = "has logged in and takes over"


@pytest.fixture(name="patient")
def _patient(make_site):
    """A site in whose group a member that does not leave stays for minutes."""
    made = make_site(**PATIENT)
    made.secured = Secured(made)
    return made


def must_store(site):
    """Returns once the worker has stored something, and so is past its start: a topic is drained before the first event, too."""
    wait_until(lambda: sum(site.outcomes()) > 0, 60, "the worker to store")


@pytest.mark.parametrize("instance", [None, "one"])
def test_a_password_of_kafka_is_changed_by_a_signal(patient, instance):
    site, login = patient, patient.secured.login("worker", WORKER)
    worker = site.worker(*login.words, instance=instance)
    with under_load(site):
        must_store(site)
        login.change_password("another one")
        login.tell("another one")
        hang_up(worker, TOOK_OVER)
        site.wait_until_drained(deadline=120)
        wait_until(lambda: members(site) == 1, 60, lambda: f"one member in the group, not {members(site)}")
        restart_broker(site)
        site.wait_until_drained(deadline=120)
    must_have_stored_all(site, worker, "another one")


def test_a_wrong_password_is_not_taken_and_the_client_before_goes_on(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    with under_load(site):
        must_store(site)
        login.tell("hunter2")
        said = hang_up(worker, "were not taken")
        assert all(word in said for word in ("kafka.sasl.password", site.stack.kafka["bootstrap.servers"], login.name, "SIGHUP")), said
        site.wait_until_drained()
        login.change_password("another one")
        login.tell("another one")
        hang_up(worker, TOOK_OVER)
    must_have_stored_all(site, worker, "another one", "hunter2")


def test_a_password_that_is_refused_is_read_again_without_a_signal(site):
    login = site.secured.login("worker", WORKER)
    worker = site.worker(*login.words)
    with under_load(site):
        must_store(site)
        login.change_password("another one")
        restart_broker(site)
        wait_until(lambda: "refuses the login" in worker.log(), 60, "the worker to be refused")
        login.tell("another one")
        wait_until(lambda: TOOK_OVER in worker.log(), 60, lambda: f"the new password to be taken:\n{worker.log()[-3000:]}")
    must_have_stored_all(site, worker, "another one")


def test_a_password_is_changed_by_restarts_one_worker_after_the_other(site):
    login = site.secured.login("worker", WORKER)
    workers = [site.worker(*login.words) for _ in range(2)]
    with under_load(site):
        for worker in workers:
            wait_until(lambda one=worker: 'msg="reading"' in one.log(), 60, worker.log)  # past its start
        login.change_password("another one")
        login.tell("another one")
        for number, worker in enumerate(workers):
            assert worker.stop() == 0
            workers[number] = site.worker(*login.words)
            site.wait_until_drained(deadline=120)
        restart_broker(site)
    site.wait_until_drained(deadline=120)
    assert workers[0].stop() == 0
    must_have_stored_all(site, workers[1])


def test_the_authority_and_the_certificate_of_kafka_are_changed(site):
    """First both authorities are trusted, then the server shows the new certificate, then the old authority goes."""
    secrets, trusted = site.secured.secrets, site.folder / "trusted.pem"
    old, key, certificate = secrets.path("ca.pem"), *_issue_by_another(site)
    shutil.copy(old, trusted)
    own = secrets.read("server.pem")
    worker = site.worker("--set", f"kafka.ssl.ca.location={trusted}")
    try:
        with under_load(site):
            site.wait_until_drained()
            trusted.write_text(open(old, encoding="ascii").read() + other_authority(site.folder).read_text())
            hang_up(worker, TOOK_OVER)
            secrets.write("server.pem", key + certificate)
            restart_broker(site)
            site.wait_until_drained(deadline=120)
            trusted.write_text(other_authority(site.folder).read_text())
            hang_up(worker, TOOK_OVER)
            site.wait_until_drained(deadline=120)
            shutil.copy(old, trusted)  # the one that signed nothing any more
            said = hang_up(worker, "were not taken")
            assert all(word in said for word in ("kafka.ssl.ca.location", str(trusted), "authority's certificate")), said
            site.wait_until_drained(deadline=120)
        must_have_stored_all(site, worker)
    finally:
        secrets.write("server.pem", own + "\n")
        restart_broker(site)


def test_a_key_pair_of_ours_is_replaced(patient):
    site = patient
    pair = site.folder / "pair.pem"
    pair.write_text("".join(site.secured.secrets.issue("rotator")))
    site.secured.kafka.allow("rotator", site.secured.rights(WORKER))
    worker = site.worker("--set", "kafka.security.protocol=SSL", "--set", f"kafka.bootstrap.servers=127.0.0.1:{site.secured.ports['kafka-1-mtls']}",
                         "--set", f"kafka.ssl.certificate.location={pair}", "--set", f"kafka.ssl.key.location={pair}")
    with under_load(site):
        site.wait_until_drained()
        pair.write_text("".join(site.secured.secrets.issue("rotator", days=-1)))
        said = hang_up(worker, "were not taken")
        assert "kafka.ssl.certificate.location" in said, said
        pair.write_text("".join(site.secured.secrets.issue("rotator")))
        hang_up(worker, TOOK_OVER)
        site.wait_until_drained(deadline=120)
        wait_until(lambda: members(site) == 1, 60, lambda: f"one member in the group, not {members(site)}")
    must_have_stored_all(site, worker)


def _issue_by_another(site, subject="server"):
    """Key and certificate by `other_authority`."""
    secrets, folder = site.secured.secrets, site.folder
    made = type(secrets).__new__(type(secrets))
    made.folder = str(folder / "other")
    (folder / "other").mkdir()
    made.make()
    (folder / "other-ca.pem").write_text(made.read("ca.pem") + "\n")
    return made.issue(subject)


def test_the_certificate_and_the_authority_of_postgres_are_changed(site):
    """What stands goes on by the old certificate, whoever comes again meets the new one; the authority as Kafka's above."""
    secrets, trusted = site.secured.secrets, site.folder / "trusted.pem"
    old, own = secrets.read("ca.pem") + "\n", secrets.read("ca.pem") + "\n"
    other_key, other_certificate = _issue_by_another(site, "postgres")
    other = other_authority(site.folder).read_text()
    trusted.write_text(old)
    words = ("--set", f"postgres.dsn={dsn_with(site.database.dsn, sslrootcert=trusted)}")
    worker, aggregator = site.worker(*words), site.aggregator(*words)
    must_connect(worker, aggregator)
    try:
        with under_load(site), postgres_files(site) as write:
            key, certificate = secrets.issue("postgres")
            write({"server.key": key, "server.crt": certificate})
            site.wait_until_folded()  # by the connections of before
            reconnect(site, worker, aggregator)
            site.wait_until_folded()
            trusted.write_text(old + other)
            secrets.write("ca.pem", old + other)  # by which the test itself comes in
            write({"server.key": other_key, "server.crt": other_certificate})
            reconnect(site, worker, aggregator)
            trusted.write_text(other)
            reconnect(site, worker, aggregator)
            site.wait_until_folded()
            trusted.write_text(old)  # the one that signed nothing any more
            before = [len(one.log()) for one in (worker, aggregator)]
            site.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tallymill%'")
            for program, start in zip((worker, aggregator), before):
                said = wait_until(lambda one=program, at=start: "certificate verify failed" in one.log()[at:] and one.log()[at:], 60, program.log)
                assert "sslrootcert" in said and "127.0.0.1" in said and program.is_running(), said
            trusted.write_text(other)
            site.wait_until_folded(deadline=120)
        site.wait_until_folded(deadline=120)
    finally:
        secrets.write("ca.pem", own)
    trusted.write_text(old)
    site.wait_until_folded(deadline=120)
    assert aggregator.is_running() and aggregator.stop() == 0
    must_have_stored_all(site, worker)


def _come_by_certificate(login):
    """Rules of Postgres by which this login comes with a certificate in its name, and no other way."""
    return f"hostssl all {login} 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n"


def test_a_certificate_of_ours_for_postgres_is_replaced_and_programs_are_restarted_one_after_the_other(site):
    secrets = site.secured.secrets
    login = f"c_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {login} LOGIN; GRANT tallymill_ingest, tallymill_aggregate TO {login}")
    paths = site.folder / "ours.key", site.folder / "ours.crt"

    def tell(pair, mode=0o600):
        for path, text in zip(paths, pair):
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").chmod(mode)
            path.with_suffix(".new").replace(path)

    tell(secrets.issue(login))
    words = ("--set", f"postgres.dsn={dsn_with(site.database.dsn, user=login, passfile='/dev/null', sslkey=paths[0], sslcert=paths[1])}")
    bad = {
        "expired": (secrets.issue(login, days=-1), "has expired"),
        "of another authority": (_issue_by_another(site, login), "authority of sslcert"),
        "of another name": (secrets.issue("somebody"), "sslcert"),
        "of another key": ((secrets.issue(login)[0], secrets.issue(login)[1]), "sslkey"),
    }
    with postgres_files(site) as write:
        write({"pg_hba.conf": _come_by_certificate(login)})
        workers, aggregator = [site.worker(*words) for _ in range(2)], site.aggregator(*words)
        must_connect(*workers, aggregator)
        with under_load(site):
            for name, (pair, named) in bad.items():
                tell(pair)
                refused = site.run("tallymill-consumer", "--check", *words)
                assert refused.code == 2 and named in refused.out + refused.err and "sslcert" in refused.out + refused.err, (name, refused)
            without = dsn_with(site.database.dsn, user=login, passfile="/dev/null")
            refused = site.run("tallymill-consumer", "--check", "--set", f"postgres.dsn={without}")
            assert refused.code == 2 and "asks for a client's certificate: sslcert and sslkey" in refused.err, refused
            tell(secrets.issue(login), mode=0o644)
            refused = site.run("tallymill-consumer", "--check", *words)
            assert refused.code == 2 and "chmod 600" in refused.err, refused
            tell(bad["expired"][0])
            before = len(workers[0].log())
            site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
            wait_until(lambda: "has expired" in workers[0].log()[before:], 60, workers[0].log)
            assert workers[0].is_running() and aggregator.is_running()
            tell(secrets.issue(login))
            site.wait_until_folded(deadline=120)
            tell(secrets.issue(login))
            for number, worker in enumerate(workers):
                assert worker.stop() == 0
                workers[number] = site.worker(*words)
                site.wait_until_drained(deadline=120)
            assert aggregator.stop() == 0
            aggregator = site.aggregator(*words)
        site.wait_until_folded(deadline=120)
        assert aggregator.stop() == 0 and workers[0].stop() == 0
        must_have_stored_all(site, workers[1])
    site.database.run(f"REVOKE tallymill_ingest, tallymill_aggregate FROM {login}; DROP ROLE {login}")


def _login_of_postgres(site, password):
    login = f"w_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {login} LOGIN PASSWORD '{password}'; GRANT tallymill_ingest, tallymill_aggregate TO {login}")
    return login


def test_a_connection_string_in_a_file_is_read_again(site):
    """By a signal it is tried at once; without one at the next connection."""
    login, secret = _login_of_postgres(site, "first-word"), site.folder / "dsn"

    def tell(password):
        secret.write_text(dsn_with(site.database.dsn, user=login, password=password, passfile="/dev/null") + "\n")

    tell("first-word")
    words = ("--set", f"postgres.dsn=@{secret}")
    worker, aggregator = site.worker(*words), site.aggregator(*words)
    with under_load(site):
        must_connect(worker, aggregator)  # before that a SIGHUP may come too early to be handled
        must_store(site)
        site.wait_until_folded()
        tell("hunter2")
        for program in (worker, aggregator):
            said = hang_up(program, "was not taken")
            assert "postgres.dsn" in said and "127.0.0.1" in said and "password" in said, said
        site.database.run(f"ALTER ROLE {login} PASSWORD 'second-word'")
        tell("second-word")
        for program in (worker, aggregator):
            hang_up(program, "taken from the next connection on")
        site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
        site.wait_until_drained(deadline=120)
        site.database.run(f"ALTER ROLE {login} PASSWORD 'third-word'")
        site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'")
        for program in (worker, aggregator):
            wait_until(lambda one=program: "password authentication failed" in one.log()[one.log().rfind("next connection on"):], 60, "it to be refused")
        tell("third-word")
        site.wait_until_drained(deadline=120)
    site.wait_until_folded(deadline=120)
    assert aggregator.is_running() and aggregator.stop() == 0
    must_have_stored_all(site, worker, "first-word", "second-word", "third-word", "hunter2")
    assert not any(word in aggregator.log() for word in ("first-word", "second-word", "third-word", "hunter2"))
    site.database.run(f"REVOKE tallymill_ingest, tallymill_aggregate FROM {login}; DROP ROLE {login}")
