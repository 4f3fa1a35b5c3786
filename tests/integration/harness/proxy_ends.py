"""Both ends of a proxy in front of a stack's Kafka: TCP as it is, or on a secured stack TLS with the broker's own certificate.

A login by SASL is requests and answers like others, and goes through.
"""

import contextlib
import select
import socket
import ssl
import threading


class _Tls:
    """A socket with TLS for two threads, one that reads and one that writes: OpenSSL's object is for one at a time."""

    def __init__(self, wrapped):
        wrapped.setblocking(False)
        self.socket = wrapped
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def recv(self, size):
        while True:
            with self.lock, contextlib.suppress(ssl.SSLWantReadError):
                return self.socket.recv(size)
            select.select([self.socket], [], [], 1)

    def sendall(self, data):
        left = memoryview(data)
        while left:
            with self.lock, contextlib.suppress(ssl.SSLWantWriteError):
                left = left[self.socket.send(left):]
                continue
            select.select([], [self.socket], [], 1)

    def shutdown(self, how):
        socket.socket.shutdown(self.socket, how)  # the connection below: SSLSocket's own would pull the object from under the other thread

    def setsockopt(self, *option):
        self.socket.setsockopt(*option)

    def close(self):
        self.socket.close()


def _connected(address):
    made = socket.create_connection(address, 5)
    made.settimeout(None)
    return made


class _Plain:
    def accept(self, client):
        return client

    def connect(self, address):
        return _connected(address)


class _Secured:
    def __init__(self, secrets):
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(secrets / "server.pem")
        self.client = ssl.create_default_context(cafile=secrets / "ca.pem")

    def accept(self, client):
        return _Tls(self.server.wrap_socket(client, server_side=True))

    def connect(self, address):
        return _Tls(self.client.wrap_socket(_connected(address), server_hostname=address[0]))


def ends_of(stack):
    """accept(socket of a client) and connect((host, port)): what bytes are received from and sent to."""
    return _Secured(stack.state / "secrets") if stack.is_secure else _Plain()
