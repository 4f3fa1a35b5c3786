"""A certificate of Kafka's that has expired, and is renewed."""

import pytest

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
