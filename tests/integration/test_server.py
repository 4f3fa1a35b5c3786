"""producer/examples/serve.c as a service runs it: eight epoll loops that publish an event per request, clients that pipeline and hang up, a Kafka
that goes away and comes back, and SIGTERM in the middle of it. Each request that was answered with 202 is one event, by the id in its answer.

TALLYMILL_SERVER_SECONDS=600 tests/run integration -- -k served_for: so long under the address and the thread sanitizer (not in the daily run).
"""

import itertools
import os
import random
import re
import socket
import threading

import pytest

from .harness.kafka_proxy import KafkaProxy
from .harness.program import BUILDS, ROOT, Program, environment, thread_sanitized
from .harness.waiting import wait_until

SECONDS = int(os.environ.get("TALLYMILL_SERVER_SECONDS", "0"))
CLIENTS = 16
LOOPS = 8


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rb")

    def send(self, *requests):
        self.socket.sendall(b"".join(request.encode() + b" HTTP/1.1\r\nHost: here\r\n\r\n" for request in requests))

    def answer(self):
        """(status, body); None when the server has closed."""
        head = self.file.readline()
        if not head:
            return None
        length = 0
        while (line := self.file.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return int(head.split()[1]), self.file.read(length).decode()

    def ask(self, request):
        self.send(request)
        return self.answer()

    def close(self):
        self.file.close()
        self.socket.close()


class Server:
    """The example, under load by clients until it is stopped."""

    def __init__(self, site, proxy, build, **more):
        self.site = site
        settings = site.folder / "serve.ini"
        kafka = {**site.stack.kafka, "bootstrap.servers": proxy.bootstrap, "queue.buffering.max.messages": 2000}
        settings.write_text("[kafka]\n" + "".join(f"{key} = {value}\n" for key, value in kafka.items())
                            + f"[topics]\nevents = {site.topic}\n[queue]\nsize = 256 KiB\n")
        self.program = Program([str(build / "bin/example-serve"), str(settings), "0"], site.folder / "serve.log", environment(**more))
        site.programs.append(self.program)
        self.port = int(wait_until(lambda: re.search(r"listening on 127.0.0.1:(\d+)", self.program.log()), 30, self.program.log).group(1))
        self.stopping = threading.Event()
        self.numbers = itertools.count()
        self.ids, self.refused, self.wrong = [], 0, []  # answered with 202; with 503; otherwise
        self.clients = []

    def load(self, seed):
        for number in range(CLIENTS):
            self.clients.append(threading.Thread(target=self._client, args=(random.Random(f"{seed} {number}"),), daemon=True))
            self.clients[-1].start()

    def _client(self, source):
        while not self.stopping.is_set():
            try:
                self._converse(Connection(self.port), source)
            except OSError as why:
                if not self.stopping.is_set():
                    self.wrong.append(repr(why))
                    return

    def _converse(self, connection, source):
        """Requests, several at once, until the server or we hang up: now and then without having read what it answers."""
        while not self.stopping.wait(0.05):  # the rate of the load
            count = source.randrange(1, 20)
            connection.send(*(f"POST /export/request-{next(self.numbers)}" for _ in range(count)))
            if source.random() < 0.02:
                break
            for _ in range(count):
                answer = connection.answer()
                if answer is None:
                    return
                if answer[0] == 202:
                    self.ids.append(answer[1].strip())
                elif answer[0] == 503:
                    self.refused += 1
                else:
                    self.wrong.append(answer)
        connection.close()

    def wait_for_more(self, more, deadline=90):
        reached = len(self.ids) + more
        wait_until(lambda: len(self.ids) >= reached or not self.program.is_running(), deadline, lambda: f"{reached} requests; {len(self.ids)}, {self.wrong}")

    def end(self, deadline=60):
        """SIGTERM under load; then all that was answered is one row each."""
        self.stopping.set()
        self.program.signal(15)
        assert self.program.wait(deadline) == 0, self.program.log()[-3000:]
        for client in self.clients:
            client.join(60)
        assert not self.wrong, self.wrong[:5]
        accepted, acknowledged, failed = map(int, re.search(r"(\d+) accepted, (\d+) acknowledged, (\d+) failed", self.program.log()).groups())
        assert accepted == acknowledged >= len(self.ids) > 0 and failed == 0, self.program.log()[-3000:]
        self.site.drain(deadline=600)
        self.site.fold()
        verdict = self.site.assert_holds(acknowledged=[(one, None, None) for one in self.ids])
        assert verdict.figures["rows stored"] == accepted
        assert self.site.database.rows("SELECT count(DISTINCT session_id), count(*) FILTER (WHERE session_id !~ '^request-[0-9]+$') FROM analytics_events") == [(accepted, 0)]


@pytest.fixture
def proxy(stack):
    between = KafkaProxy(stack)
    yield between
    between.close()


def test_each_acknowledged_request_of_a_server_is_one_event(site, proxy):
    server = Server(site, proxy, BUILDS["asan"])
    asking = Connection(server.port)
    assert len(os.listdir(f"/proc/{server.program.pid}/task")) >= 1 + LOOPS
    status, why = asking.ask("POST /export/" + "s" * 300)
    assert status == 400 and "session_id" in why
    assert asking.ask("GET /nothing")[0] == 404
    server.load(1)
    server.wait_for_more(1_000)
    proxy.go_away()
    wait_until(lambda: server.refused, 60, "the queue to be full while Kafka is away")
    proxy.come_back()
    server.wait_for_more(1_000)
    status, text = asking.ask("GET /metrics")
    counts = dict(line.split() for line in text.splitlines())
    assert status == 200 and int(counts["events_accepted_total"]) >= 2_000 and counts["events_failed_total"] == "0"
    assert "\nanalytics: " in server.program.log(), "what the library says of an absence comes by way of the first loop"
    server.end()


@pytest.mark.skipif(SECONDS == 0, reason="by name: TALLYMILL_SERVER_SECONDS=600 tests/run integration -- -k served_for")
@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_events_are_served_for_minutes_under_each_sanitizer(site, proxy, sanitizer):
    build = thread_sanitized("example-serve") if sanitizer == "tsan" else BUILDS["asan"]
    seed = os.environ.get("TALLYMILL_SEED", str(random.randrange(10**6)))
    print(f"TALLYMILL_SEED={seed}")
    source, over = random.Random(seed), threading.Event()
    server = Server(site, proxy, build, TSAN_OPTIONS=f"suppressions={ROOT}/tests/tsan.supp")
    server.load(seed)
    timer = threading.Timer(SECONDS, over.set)
    timer.start()
    while not over.wait(source.uniform(2, 20)) and server.program.is_running():
        proxy.go_away()
        over.wait(source.uniform(0.1, 8))
        proxy.come_back()
    timer.cancel()
    server.wait_for_more(500)
    server.end(120)
    print(f"{len(server.ids)} requests acknowledged, {server.refused} refused")
