"""A certificate of Kafka's, or of Postgres's, that has expired, and is renewed."""

import pytest

from integration.harness.waiting import wait_until

from .matrix import PROGRAMS, must_be_refused, must_hold_nothing
from .rotation import postgres_files


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
        must_be_refused(site, program, {}, ["kafka.bootstrap.servers", "kafka.ssl.ca.location", site.stack.kafka["bootstrap.servers"], "has expired", "renew it"])
    must_hold_nothing(site)
    expired()
    assert site.run("tallymill-consumer", "--check").code == 0


def test_an_expired_certificate_of_postgres_is_named_until_it_is_renewed(site):
    with postgres_files(site) as write:
        key, certificate = site.secured.secrets.issue("postgres", days=-1)
        write({"server.key": key, "server.crt": certificate})
        for program in (name for name in PROGRAMS if name != "produce"):
            must_be_refused(site, program, {}, ["postgres.dsn", "127.0.0.1", "has expired", "renew it"])
    wait_until(lambda: site.run("tallymill-consumer", "--check").code == 0, 30, "the renewed certificate to be shown")
    must_hold_nothing(site)
