"""Ports: free ones on the loopback interface.

A port is tried by binding it, with SO_REUSEADDR as both servers do, so that what is free here is free for them.
Candidates lie below the kernel's ephemeral range. Binding port 0 was the obvious way and is only the fallback:
the kernel hands such a port to any client's connection once the server is down, and a client that keeps
reconnecting to a stopped server can even be connected to itself and hold the port; a test that kills a broker
would then not get it back.

Nothing reserves a port between the look and the server's own bind: whoever starts a server must be ready to
lose the race and come back for another (kafka.py, postgres.py).
"""

import random
import socket

FIRST = 20000
TRIES = 200


def is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)     # with SO_REUSEADDR a second bind succeeds; only listening tells
        except OSError:
            return False
    return True


def _ephemeral_start():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as line:
            return int(line.read().split()[0])
    except (OSError, ValueError):
        return 32768


def pick(taken=()):
    """A port that is free now and not in `taken`."""
    end = _ephemeral_start()
    chance = random.SystemRandom()
    for _ in range(TRIES if end > FIRST + 1000 else 0):
        port = chance.randrange(FIRST, end)
        if port not in taken and is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]
