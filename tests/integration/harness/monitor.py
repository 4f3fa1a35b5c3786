"""What a program shows of itself: GET /metrics and /health, and the text format 0.0.4 read strictly."""

import json
import re
import urllib.error
import urllib.request

from .waiting import wait_until

LISTENING = re.compile(r'msg="metrics and health are served" address=(\S+)')
SAMPLE = re.compile(r'([a-z_]+)((?:\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})?) (-?[0-9]+(?:\.[0-9]+)?)')


class Monitor:
    """A program that was started with metrics.listen = 127.0.0.1:0, found by its log."""

    def __init__(self, program):
        found = wait_until(lambda: LISTENING.search(program.log()), 30, lambda: f"an address in the log:\n{program.log()}")
        self.address = found.group(1)

    def get(self, path, method="GET", deadline=30):
        """(status, content type, body)"""
        request = urllib.request.Request(f"http://{self.address}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=deadline) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers["Content-Type"], refused.read().decode()

    def samples(self):
        """Series ('name{label="value"}') to its number; fails on any line that the format does not allow."""
        status, kind, body = self.get("/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert body.endswith("\n")
        found, types = {}, {}
        for line in body.splitlines():
            if line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                assert name not in types and kind in ("counter", "gauge", "histogram"), line
                types[name] = kind
            elif not line.startswith("# HELP "):
                sample = SAMPLE.fullmatch(line)
                assert sample, line
                name, labels, value = sample.groups()
                assert name in types or types.get(re.sub("_(bucket|sum|count)$", "", name)) == "histogram", line
                assert name + labels not in found, line
                found[name + labels] = float(value)
        return found

    def health(self):
        """(status, the answer's members)"""
        status, kind, body = self.get("/health")
        assert kind == "application/json"
        return status, json.loads(body)

    def wait_for(self, what, predicate, deadline=30):
        """Returns the samples once they satisfy the predicate."""
        def look():
            samples = self.samples()
            return samples if predicate(samples) else None

        return wait_until(look, deadline, lambda: f"{what}; last: {self.samples()}")

    def wait_for_health(self, status, deadline=30):
        def look():
            answer = self.health()
            return answer[1] if answer[0] == status else None

        return wait_until(look, deadline, lambda: f"/health to answer {status}; last: {self.health()}")
