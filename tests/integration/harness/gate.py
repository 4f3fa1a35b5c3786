"""A TCP gate in front of a server: open, or shut as if the server were gone (what stands is cut, what comes is refused)."""

import contextlib
import socket
import threading


class Gate:
    """`port` is where clients connect, on 127.0.0.1; it stays the same over shut() and open()."""

    def __init__(self, host, port):
        self.server = (host, port)
        self.lock = threading.Lock()
        self.sockets = set()
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes its accept(); close() alone would not
        self.listener.close()
        with self.lock:
            for one in self.sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:  # ends with shut()
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server, 10)
            with self.lock:
                self.sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.sockets.discard(source)
        source.close()
