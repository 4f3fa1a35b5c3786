"""A network namespace for programs under test, joined to ours by one virtual cable that can be pulled: no FIN, no RST, as when a host is gone.

`address` is ours at that cable, for a server to listen on. What else the programs need of our loopback (a Kafka that tells its clients
127.0.0.1) is carried into theirs by `carry(port)`: a listener in there, whose connections are passed on out here. Needs root and iproute2.
"""

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def is_possible():
    """Whether namespaces can be made here, and why not."""
    if os.geteuid() != 0:
        return False
    name = "tm" + secrets.token_hex(3)
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        _ip("netns", "del", name)
    return made


def _ip(*words):
    subprocess.run(["ip", *words], capture_output=True, check=True, timeout=20)


class Namespace:
    def __enter__(self):
        tag = secrets.token_hex(3)
        third = secrets.randbelow(250) + 1
        self.name, self._outside, inside = f"tm{tag}", f"tmo{tag}", f"tmi{tag}"
        self.network = f"10.213.{third}"
        self.address = f"{self.network}.1"
        self._listeners = []
        _ip("netns", "add", self.name)
        _ip("link", "add", self._outside, "type", "veth", "peer", "name", inside, "netns", self.name)
        _ip("addr", "add", f"{self.address}/24", "dev", self._outside)
        _ip("link", "set", self._outside, "up")
        for words in (("addr", "add", f"{self.network}.2/24", "dev", inside), ("link", "set", inside, "up"), ("link", "set", "lo", "up")):
            _ip("-n", self.name, *words)
        return self

    def __exit__(self, *_):
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        _ip("link", "del", self._outside)
        _ip("netns", "del", self.name)

    def pull(self):
        _ip("link", "set", self._outside, "down")

    def plug(self):
        _ip("link", "set", self._outside, "up")

    def command(self, command):
        """The command, run in there. `ip` replaces itself with it: the process is the program's."""
        return ["ip", "netns", "exec", self.name, *command]

    def carry(self, port):
        """127.0.0.1:port in there leads to the same out here."""
        made = []
        maker = threading.Thread(target=lambda: made.append(self._listen_inside(port)))
        maker.start()
        maker.join(10)
        assert made, "no listener in the namespace"
        self._listeners.append(made[0])
        threading.Thread(target=self._accept, args=(made[0], port), daemon=True).start()

    def _listen_inside(self, port):
        """In a thread of its own, which lives in the namespace; the socket stays there, whoever uses it."""
        with open(f"/run/netns/{self.name}", "rb") as namespace:
            if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_server(("127.0.0.1", port))

    def _accept(self, listener, port):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", port), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
