"""A certificate of Kafka's, or of Postgres's, that has expired, and is renewed."""

from pathlib import Path

import pytest

from integration.harness.waiting import wait_until

from .matrix import PROGRAMS, must_be_refused, must_hold_nothing


@pytest.fixture(name="expired")
def _expired(site):
    """Has the broker show an expired certificate on the listener for programs, and its own again afterwards."""
    secrets, stack = site.secured.secrets, site.stack
    own = secrets.read("server.pem")

    def show(pem):
        secrets.write("server.pem", pem + "\n")
        stack.must("stop-broker", "1")
        stack.must("start-broker", "1")

    show("".join(secrets.issue("server", days=-1)))
    try:
        yield lambda: show(own)
    finally:
        show(own)


def test_an_expired_certificate_is_named_until_it_is_renewed(site, expired):
    for program in PROGRAMS:
        must_be_refused(site, program, {}, ["kafka.security.protocol", site.stack.kafka["bootstrap.servers"], "has expired", "renew it"])
    must_hold_nothing(site)
    expired()
    assert site.run("tallymill-consumer", "--check").code == 0


@pytest.fixture(name="expired_postgres")
def _expired_postgres(site):
    """A session of before sees to it that the server reads its files again: who checks the certificate cannot come in meanwhile."""
    secrets = site.secured.secrets
    own = secrets.read("postgres.key") + "\n", secrets.read("postgres.crt") + "\n"
    with site.database.session() as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SHOW data_directory")
        folder = Path(cursor.fetchone()[0])

        def show(key, certificate):
            (folder / "server.key").write_text(key)
            (folder / "server.crt").write_text(certificate)
            cursor.execute("SELECT pg_reload_conf()")

        show(*secrets.issue("postgres", days=-1))
        try:
            yield lambda: show(*own)
        finally:
            show(*own)


def test_an_expired_certificate_of_postgres_is_named_until_it_is_renewed(site, expired_postgres):
    for program in ("worker", "check", "migrate"):
        must_be_refused(site, program, {}, ["postgres.dsn", "127.0.0.1", "has expired", "renew it"])
    expired_postgres()
    wait_until(lambda: site.run("tallymill-consumer", "--check").code == 0, 30, "the renewed certificate to be shown")
    must_hold_nothing(site)
