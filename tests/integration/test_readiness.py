"""What a service tells systemd when it starts: that it is ready as soon as it works or only waits for a server, and never where a person has to look.

systemd kills what has not said so in TimeoutStartSec= (90 s), whatever an outage lasts.
"""

import signal
import socket

import pytest
from psycopg2 import extensions

from .harness.gate import Gate
from .harness.kafka_proxy import KafkaProxy
from .harness.monitor import Monitor
from .harness.publisher import events
from .harness.waiting import wait_until


class Notices:
    """The socket that systemd gives a service: what came so far, one assignment an entry."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.entries = []

    def look(self):
        try:
            while True:  # ends: when nothing has come
                self.entries += self.socket.recv(65536).decode().splitlines()
        except BlockingIOError:
            return self.entries

    def is_ready(self):
        return "READY=1" in self.look()

    def status(self):
        return next((entry.removeprefix("STATUS=") for entry in reversed(self.look()) if entry.startswith("STATUS=")), "")


@pytest.fixture(name="notices")
def fixture_notices(tmp_path, site):
    made = Notices(tmp_path)
    site.environment = {"NOTIFY_SOCKET": made.path}
    yield made
    made.socket.close()


@pytest.fixture(name="gate")
def fixture_gate(site):
    """Postgres is away."""
    server = extensions.parse_dsn(site.database.dsn)
    made = Gate(server["host"], int(server["port"]))
    made.shut()
    yield made
    made.shut()


def through(site, gate):
    return "--set", f"postgres.dsn={extensions.make_dsn(site.database.dsn, host='127.0.0.1', port=gate.port)}"


def wait_until_ready(program, notices):
    wait_until(lambda: notices.is_ready() or not program.is_running(), 60, program.log)
    assert program.is_running(), program.log()


@pytest.mark.parametrize("name, waiting, working", [("tallymill-aggregator", "waiting for Postgres; last trouble", "leading: "),
                                                     ("tallymill-consumer", "Postgres is away; ", "4 topic partitions, ")])
def test_a_service_is_ready_while_it_waits_for_postgres(site, notices, gate, name, waiting, working):
    program = site.start(name, *through(site, gate))
    wait_until_ready(program, notices)
    said = wait_until(lambda: notices.status().startswith(waiting) and notices.status(), 60, notices.look)
    assert "cannot connect to Postgres" in said, said
    gate.open()
    wait_until(lambda: notices.status().startswith(working), 60, notices.look)
    assert notices.entries.count("READY=1") == 1
    assert program.stop() == 0


def test_a_worker_is_ready_while_it_waits_for_kafka_and_stores_once_it_is_there(site, notices):
    proxy = KafkaProxy(site.stack)
    try:
        proxy.go_away()
        worker = site.worker("--set", f"kafka.bootstrap.servers={proxy.bootstrap}", "--set", "kafka.reconnect.backoff.max.ms=500")
        wait_until_ready(worker, notices)
        assert notices.status().startswith("waiting for Kafka; last trouble") and proxy.bootstrap in notices.status(), notices.look()
        worker.signal(signal.SIGHUP)  # settings may be read again meanwhile
        wait_until(lambda: "settings read again" in worker.log(), 60, worker.log)
        site.send(events(100))
        proxy.come_back()
        site.wait_until_drained()
        assert 'msg="Kafka is away, trying again"' in worker.log() and 'msg="Kafka is back"' in worker.log()
        assert worker.stop() == 0
    finally:
        proxy.close()
    site.fold()
    site.assert_holds()


def test_a_worker_that_waits_for_kafka_stops_when_asked_and_one_with_an_end_does_not_wait(site, notices):
    nowhere = ("--set", "kafka.bootstrap.servers=127.0.0.1:1")
    worker = site.worker(*nowhere)
    wait_until_ready(worker, notices)
    assert worker.stop() == 0
    assert site.worker("--until-end", *nowhere).wait(60) == 1


def test_the_dashboard_is_ready_while_both_servers_are_away(site, notices, gate):
    program = site.start("tallymill", "dashboard", "--set", "dashboard.listen=127.0.0.1:0", "--set", "kafka.bootstrap.servers=127.0.0.1:1", *through(site, gate))
    wait_until_ready(program, notices)
    assert program.stop() == 0


def test_a_service_that_a_person_has_to_mend_is_never_ready(site, notices):
    without_schema = extensions.make_dsn(site.database.dsn, dbname="postgres")
    for program in (site.worker("--set", "topics.events=no-such-topic"), site.aggregator("--set", f"postgres.dsn={without_schema}")):
        assert program.wait(60) == 2
    assert not notices.is_ready(), notices.entries


def test_a_coordinator_that_loads_is_asked_again_and_one_that_goes_on_loading_is_said_to_pass(site):
    proxy = KafkaProxy(site.stack)
    words = ("--set", f"kafka.bootstrap.servers={proxy.bootstrap}")
    try:
        proxy.load_coordinator(3)
        checked = site.run("tallymill-consumer", "--check", *words)
        assert checked.code == 0 and proxy.to_load == 0, checked
        proxy.load_coordinator(1_000_000)
        checked = site.run("tallymill-consumer", "--check", *words)
        asked = 1_000_000 - proxy.to_load
        assert checked.code == 1 and "COORDINATOR_LOAD_IN_PROGRESS" in checked.err and "passes by itself" in checked.err, checked
        assert 3 < asked < 30, asked
    finally:
        proxy.close()


def test_a_group_that_refuses_a_setting_is_told_once_with_what_to_do(site, notices):
    worker = site.worker("--set", "kafka.session.timeout.ms=3600000", "--set", "kafka.max.poll.interval.ms=3600000", "--set", "metrics.listen=127.0.0.1:0", "--set", "log.level=debug")
    remedy = "group.max.session.timeout.ms"
    monitor = Monitor(worker)
    reason = wait_until(lambda: "into the consumer group" in (said := monitor.health()[1].get("reason", "")) and said, 60, monitor.health)
    assert remedy in reason and site.topic.replace("events-", "group-") in reason, reason
    wait_until(lambda: worker.log().count("code=INVALID_SESSION_TIMEOUT") >= 3, 60, worker.log)
    told = [line for line in worker.log().splitlines() if "INVALID_SESSION_TIMEOUT" in line and "level=debug" not in line]
    assert len(told) == 1 and remedy in told[0] and "level=warn" in told[0], told
    wait_until(lambda: remedy in notices.status(), 30, notices.status)
    assert worker.is_running() and worker.stop() == 0
