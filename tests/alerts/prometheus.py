"""Prometheus from the distribution's package, on the loopback, with the jobs of deploy/prometheus/prometheus.yml and the shipped rules made quick.

Made quick: a `for` of minutes or hours is one of seconds, a range likewise, and of the thresholds those that are a time or a size which no test reaches. Nothing else is changed, so
what fires is the expression that an operator has. Each change has to be found in its rule, else the copy is refused.
"""

import functools
import http.server
import json
import pathlib
import re
import threading
import urllib.request

from integration.harness.monitor import Monitor
from integration.harness.postgres_server import free_port
from integration.harness.program import ROOT, Program
from integration.harness.waiting import wait_until
from lib import prometheus_tools

RULES = ROOT / "deploy" / "prometheus" / "tallymill.rules.yml"
FOR = "3s"
ROUNDS = 8  # of all rules, in which a sound system raises nothing
# Alert: [(what its rule says, what the quick copy says), ...]
QUICK = {
    "TallymillLag": [("> 300", "> 4")],
    "TallymillPositionStandsStill": [("[10m]", "[10s]")],
    "TallymillGap": [("[1h]", "[30s]"), ("offset 1h", "offset 30s")],
    "TallymillStatisticsBehind": [("> 60", "> 4")],
    "TallymillRollupStale": [(">= 600", "> 4")],
    "TallymillLedgerNotMerged": [("> 5e6", "> 100")],
    "TallymillAuditOld": [("36 * 3600", "30")],
    "TallymillTableOverOneGigabyte": [("> 1073741824", "> 2e6")],
    "TallymillTableOverTenGigabytes": [("> 10737418240", "> 4e6")],
}


def rule_texts():
    """{alert: the text of its rule}, in the order of the file."""
    text = RULES.read_text()
    parts = re.split(r"(?=^      - alert: )", text, flags=re.MULTILINE)
    return {re.match(r"      - alert: (\w+)", part).group(1): part for part in parts[1:]}


def quick_rules():
    text = RULES.read_text()
    for alert, rule in rule_texts().items():
        made = re.sub(r"^( +for: )\d+[mh]$", rf"\g<1>{FOR}", rule, flags=re.MULTILINE)
        for old, new in QUICK.get(alert, []):
            assert old in made, (alert, old)
            made = re.sub(re.escape(old) + r"(?![\d.e])", new, made)
            assert new in made, (alert, new)
        text = text.replace(rule, made)
    return text


class Pages:
    """What the node exporter does with the files of `--metrics`: all *.prom of a folder as one page."""

    def __init__(self, folder):
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802  (the library's name)
                body = b"".join(path.read_bytes() for path in sorted(pathlib.Path(folder).glob("*.prom")))
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    """Watches programs of the jobs that the rules ask for by name; `pages`: a folder with the files of `--metrics`."""

    def __init__(self, folder, workers=(), aggregators=(), pages=None):
        folder.mkdir()
        (folder / "rules.yml").write_text(quick_rules())
        self.pages = Pages(pages) if pages else None
        jobs = {"tallymill-consumer": [Monitor(one).address for one in workers], "tallymill-aggregator": [Monitor(one).address for one in aggregators],
                "node": [self.pages.address] if pages else []}
        (folder / "prometheus.yml").write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()]}))
        self.targets = sum(map(len, jobs.values()))
        self.address = f"127.0.0.1:{free_port()}"
        self.program = Program([prometheus_tools.program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                                f"--web.listen-address={self.address}", "--query.lookback-delta=5s", "--log.level=warn"], folder / "prometheus.log")

    def close(self):
        self.program.kill()
        if self.pages:
            self.pages.close()

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def wait_until_scraped(self):
        def is_up():
            return len([one for one in self.ask("targets?state=active")["activeTargets"] if one["health"] == "up"]) == self.targets

        wait_until(is_up, 60, self.program.log, despite=(OSError,))

    def firing(self):
        """{alert: [labels, ...]}"""
        found = {}
        for one in self.ask("alerts")["alerts"]:
            if one["state"] == "firing":
                found.setdefault(one["labels"]["alertname"], []).append(one["labels"])
        return found

    def wait_until_firing(self, alert, deadline=90):
        """Its labels."""
        return wait_until(lambda: self.firing().get(alert), deadline, lambda: f"{alert} to fire; there are {self.ask('alerts')}\n{self.program.log()}", despite=(OSError,))

    def wait_until_silent(self, alert, deadline=90):
        wait_until(lambda: alert not in self.firing(), deadline, lambda: f"{alert} to end; there are {self.ask('alerts')}", despite=(OSError,))

    def rounds(self):
        """When each group of rules was last looked at."""
        return tuple(group["lastEvaluation"] for group in self.ask("rules")["groups"])

    def firing_over_rounds(self):
        """What fires in any of the next rounds."""
        seen, last = {}, self.rounds()
        for _ in range(ROUNDS):
            last = wait_until(functools.partial(self._another, last), 30, "the rules to be looked at")
            seen.update(self.firing())
        return seen

    def _another(self, last):
        now = self.rounds()
        return now if all(one != other for one, other in zip(now, last)) else None
