"""What stands between a browser and the dashboard, and spoils some of its answers."""

import http.client
import http.server
import re
import threading

SIGN_IN = b"<!doctype html><title>Sign in</title><p>Who are you?"


class Between:
    """A proxy on `address`. The first `times` answers of paths that match `path` are spoiled: `how` is "cut" (the body breaks off) or "html" (a page of the proxy's own, with status 200)."""

    def __init__(self, dashboard, path, how, times=2):
        self.dashboard, self.path, self.how, self.left = dashboard, path, how, times
        self.lock = threading.Lock()
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802  (its name is http.server's)
                between.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _is_spoiled(self, path):
        with self.lock:
            is_spoiled = bool(re.match(self.path, path)) and self.left > 0
            self.left -= is_spoiled
            return is_spoiled

    def answer(self, request):
        is_spoiled = self._is_spoiled(request.path)
        if is_spoiled and self.how == "html":
            status, kind, body = 200, "text/html", SIGN_IN
        else:
            status, headers, body = self.dashboard.get(request.path)
            kind = headers["Content-Type"]
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if is_spoiled and self.how == "cut" else body)
        request.close_connection = True

    def close(self):
        self.server.shutdown()
        self.server.server_close()
