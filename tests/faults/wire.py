"""TCP proxies that a fault sits in: a bad network between a program and a server, and a Postgres connection whose COMMIT is never answered.

A Wire forwards bytes both ways until it is told to cut (nothing passes, nothing is closed: no FIN reaches anybody), to cut one way, to
reset every connection, or to be slow. Packets cannot be lost in a proxy; what TCP makes of a lost packet, a stall, can. `commits=True`
makes it read the messages of Postgres's protocol and swallow the answer to a COMMIT.

One proxy stands in front of one broker: clients would be told the broker's own port and go past it, so the port in what the broker
answers is replaced (integration/harness/kafka_proxy.py tells how). To a Postgres with TLS bytes go as they are, so that nothing can be read (`commits`).
"""

import contextlib
import random
import socket
import struct
import threading
import time

from psycopg2 import extensions

from integration.harness.proxy_ends import ends_of

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: RST instead of FIN
CHUNK = 1 << 16
OUTWARD, INWARD = "to the server", "from the server"
COMMAND_COMPLETE = b"C"


class Wire:
    """`port` is where clients connect. Everything but the counters may be changed while bytes flow."""

    def __init__(self, host, port, kafka=None, commits=False, seed=0):
        """`kafka`: the stack whose broker this is."""
        self.target = (host, int(port))
        self.kafka = kafka is not None
        self.ends = ends_of(kafka) if self.kafka else None
        self.commits = commits
        self.swallow = 0           # commits whose reply is yet to be lost
        self.swallow_every = 1     # of so many commits one
        self.before_the_server_knows = 0.0  # share of them cut as soon as COMMIT is sent
        self.swallowed = 0
        self.delay_seconds = self.bytes_a_second = self.stalls = 0
        self._random = random.Random(seed)
        self._cut = set()
        self._flowing = threading.Condition()
        self._commits_seen = 0
        self._connections = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._old = host.encode() + struct.pack(">i", int(port))
        self._new = b"127.0.0.1" + struct.pack(">i", self.port)
        assert not self.kafka or len(self._old) == len(self._new)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()
        self.reset()

    def cut(self, *ways):
        """Nothing passes any more, in both ways or one."""
        with self._flowing:
            self._cut = set(ways or (OUTWARD, INWARD))

    def mend(self):
        with self._flowing:
            self._cut = set()
            self.delay_seconds = self.bytes_a_second = self.stalls = 0
            self._flowing.notify_all()

    def reset(self):
        """RST on every connection; how many there were."""
        with self._lock:
            pairs, self._connections = self._connections, set()
        for pair in pairs:
            for one in pair:
                _break(one)
        return len(pairs)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if self.kafka:
                client, server = self.ends.accept(client), self.ends.connect(self.target)
            else:
                server = socket.create_connection(self.target, 5)
                server.settimeout(None)
        except OSError:
            _break(client)
            return
        pair = (client, server)
        with self._lock:
            self._connections.add(pair)
        state = {"committing": False}
        out = threading.Thread(target=self._pump, args=(client, server, OUTWARD, pair, state), daemon=True)
        out.start()
        self._pump(server, client, INWARD, pair, state)
        out.join()
        with self._lock:
            self._connections.discard(pair)
        for one in pair:
            one.close()

    def _pump(self, source, target, way, pair, state):
        if self.kafka and way == INWARD:
            pieces = _kafka_frames(source)
        elif self.commits:
            pieces = _postgres_messages(source, has_start=way == OUTWARD)
        else:
            pieces = _chunks(source)
        with contextlib.suppress(OSError):
            for piece in pieces:
                self._hold(way, len(piece))
                if self.kafka and way == INWARD:
                    piece = piece.replace(self._old, self._new)
                if self.commits and self._is_lost(piece, way, target, state):
                    for one in pair:
                        _break(one)
                    return
                if piece:
                    target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def _hold(self, way, size):
        if self.stalls and self._random.random() < self.stalls:
            time.sleep(0.25)  # TCP's least retransmission time-out
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        if self.bytes_a_second:
            time.sleep(size / self.bytes_a_second)
        with self._flowing:
            while way in self._cut:
                self._flowing.wait(1)

    def _is_lost(self, message, way, target, state):
        """Whether the connection ends here: a COMMIT went by whose reply is to be swallowed."""
        if way == OUTWARD:
            if message[:1] != b"Q" or b"; COMMIT" not in message or b"commit_batch" not in message:
                return False
            with self._lock:
                self._commits_seen += 1
                if self.swallow <= 0 or self._commits_seen % self.swallow_every:
                    return False
                self.swallow -= 1
                self.swallowed += 1
            if self._random.random() < self.before_the_server_knows:
                target.sendall(message)
                return True
            state["committing"] = True
            return False
        if not state["committing"]:
            return False
        # The ledger function's rows go by; the tag that says COMMIT does not.
        return message[:1] == COMMAND_COMPLETE and b"COMMIT" in message


def _break(one):
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        one.shutdown(socket.SHUT_RDWR)


def _chunks(source):
    while True:
        try:
            piece = source.recv(CHUNK)
        except OSError:
            return
        if not piece:
            return
        yield piece


def _framed(source, length_of):
    """Whole messages; `length_of(buffer)` is the first one's length, or None while it is unknown."""
    buffer = bytearray()
    for piece in _chunks(source):
        buffer += piece
        while (length := length_of(buffer)) is not None and len(buffer) >= length:
            yield bytes(buffer[:length])
            del buffer[:length]


def _kafka_frames(source):
    return _framed(source, lambda buffer: 4 + struct.unpack_from(">i", buffer)[0] if len(buffer) >= 4 else None)


def _postgres_messages(source, has_start):
    """The first message of a client has no type, and sslmode and gssencmode must be disabled."""
    starts = {"waiting": has_start}

    def length_of(buffer):
        if len(buffer) < 5:
            return None
        if not starts["waiting"]:
            return 1 + struct.unpack_from(">i", buffer, 1)[0]
        length = struct.unpack_from(">i", buffer)[0]
        starts["waiting"] = len(buffer) < length
        return length

    return _framed(source, length_of)


def postgres_through(wire, dsn):
    """The same DSN by way of the wire."""
    readable = {"sslmode": "disable"} if wire.commits else {}
    return extensions.make_dsn(dsn, host="127.0.0.1", port=wire.port, gssencmode="disable", **readable)
