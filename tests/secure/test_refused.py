"""A server that does not let us in, in every way and for every program: a message that names setting, server and remedy, exit code 2,
and nothing is stored or sent. Certificates that have expired, rights, and what happens later: the other files."""

import contextlib
import socket
import threading

import pytest

from .matrix import PROGRAMS, kafka_faults, must_be_refused, must_hold_nothing, postgres_faults


@pytest.mark.parametrize("program", PROGRAMS)
def test_kafka_refuses_us(site, program):
    for sets, named in kafka_faults(site).values():
        must_be_refused(site, program, sets, named)
    must_hold_nothing(site)


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "produce"])
def test_postgres_refuses_us(site, program):
    for sets, named in postgres_faults(site).values():
        must_be_refused(site, program, sets, named)
    must_hold_nothing(site)


@contextlib.contextmanager
def proxy_without_a_broker():
    """A port that takes connections and closes them."""
    def close_all(listener):
        with contextlib.suppress(OSError):
            while True:  # ends with the listener
                listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=close_all, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("protocol", ["SASL_SSL", "PLAINTEXT"])
def test_a_proxy_without_a_broker_is_no_wrong_setting(site, protocol):
    """It closes connections as a listener of another kind does, and a restart may help."""
    with proxy_without_a_broker() as address:
        refused = site.run("tallymill-consumer", "--until-end", "--set", f"kafka.bootstrap.servers={address}", "--set", f"kafka.security.protocol={protocol}")
    assert refused.code == 1 and address in refused.err, refused
