"""A TCP proxy in front of one Kafka broker: it can lose the replies to Produce requests, and be away.

A client that asks the broker for metadata would be told the broker's own port and go past us. So the port is replaced in what the
broker answers: host and port stand side by side there, and the number keeps its size. Where the broker speaks TLS, so do we on both
sides (proxy_ends.py).
"""

import collections
import contextlib
import socket
import struct
import threading

from .proxy_ends import ends_of

PRODUCE, JOIN_GROUP, DESCRIBE_GROUPS = 0, 11, 15
COORDINATOR_LOAD_IN_PROGRESS = 14


class KafkaProxy:
    """In front of the listener by which our programs come to `stack`. `bootstrap` is where they connect instead. `lose_replies(n)`: the next n
    replies to Produce are swallowed and the connection cut, after the broker has answered. `go_away()` and `come_back()`: no connection stands or is accepted in between. `hide(words)`: these bytes are zeros in
    all that the broker answers, as an id is that it does not have. `load_coordinator(n)`: the next n questions about one group are answered with COORDINATOR_LOAD_IN_PROGRESS. `requests`: how many the broker was sent, by their kind."""

    def __init__(self, stack):
        host, port = stack.kafka["bootstrap.servers"].split(":")
        self.ends = ends_of(stack)
        self.broker = (host, int(port))
        self.lost = self.to_lose = self.to_load = 0
        self.is_away = False
        self.requests = collections.Counter()
        self.hidden = ()
        self.lock = threading.Lock()
        self.sockets = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.old = host.encode() + struct.pack(">i", int(port))
        self.new = host.encode() + struct.pack(">i", self.port)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_replies(self, count):
        with self.lock:
            self.to_lose = count

    def load_coordinator(self, count):
        with self.lock:
            self.to_load = count

    def hide(self, words):
        self.hidden += (words,)

    def go_away(self):
        with self.lock:
            self.is_away = True
            for one in self.sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def come_back(self):
        with self.lock:
            self.is_away = False

    def close(self):
        self.go_away()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            with self.lock:
                if self.is_away:
                    return
            with contextlib.suppress(OSError), self.ends.accept(client) as client, self.ends.connect(self.broker) as broker:
                with self.lock:
                    if self.is_away:
                        return
                    self.sockets |= {client, broker}
                asked = {}  # correlation ids of requests that are not answered yet, their kind and version
                requests = threading.Thread(target=self._pump_requests, args=(client, broker, asked), daemon=True)
                requests.start()
                self._pump_replies(client, broker, asked)
                for one in (client, broker):
                    with contextlib.suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                requests.join()
                with self.lock:
                    self.sockets -= {client, broker}

    @staticmethod
    def _frames(source):
        """Messages of the protocol, each with its length of four bytes in front."""
        buffer = b""
        while True:
            while len(buffer) >= 4 and len(buffer) >= 4 + (length := struct.unpack_from(">i", buffer)[0]):
                yield buffer[:4 + length]
                buffer = buffer[4 + length:]
            try:
                more = source.recv(1 << 18)
            except OSError:
                return
            if not more:
                return
            buffer += more

    def _pump_requests(self, client, broker, asked):
        for frame in self._frames(client):
            key, version, correlation = struct.unpack_from(">hhi", frame, 4)
            asked[correlation] = key, version
            try:
                broker.sendall(frame)
            except OSError:
                return
            self.requests[key] += 1
        with contextlib.suppress(OSError):
            broker.shutdown(socket.SHUT_WR)

    def _pump_replies(self, client, broker, asked):
        for frame in self._frames(broker):
            correlation = struct.unpack_from(">i", frame, 4)[0]
            key, version = asked.pop(correlation, (None, 0))
            if key == DESCRIBE_GROUPS:
                with self.lock:
                    if self.to_load > 0:
                        self.to_load -= 1
                        at = 16 if version < 5 else 14  # behind length, id, throttling and count, which is a short one since
                        frame = frame[:at] + struct.pack(">h", COORDINATOR_LOAD_IN_PROGRESS) + frame[at + 2:]
            if key == PRODUCE:
                with self.lock:
                    if self.to_lose > 0:
                        self.to_lose -= 1
                        self.lost += 1
                        return
            for words in self.hidden:
                frame = frame.replace(words, bytes(len(words)))
            try:
                client.sendall(frame.replace(self.old, self.new))
            except OSError:
                return
