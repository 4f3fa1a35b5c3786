"""dashboard: how long the page's panels and pages take over a long history, beside raw queries; what it weighs; and what 10,000 requests cost workers that drain.

`--rows` events over `--days` days go the real way until every rollup and the uniques are computed, then VACUUM ANALYZE, as in `queries`. Each panel's own SQL, as the page shows it, is
asked for ranges drawn at random, external, internal and all, with the settings of the dashboard and by the clock of the client; each page likewise over HTTP, with its comparison. The raw queries are those of `queries` for distinct
sessions and users of the same ranges. Then `--drain-rows` events are drained in turn alone and beside 10,000 requests (page, script, live rows) of eight connections, by wrk (Debian's package),
with the dashboard as nice as its unit makes it.
Ratios: the slowest panel's p95 over 100 ms, the slowest page's over 250 ms, the weight of the page over 150 kB packed, and the rate beside the requests over the rate alone (0.98).
"""

import argparse
import contextlib
import datetime
import gzip
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import psycopg2

import drain
import queries
import topic
from processes import cpu_seconds
from servers import ROOT, stack

TABS = ("overview", "workflow", "business", "usage", "system")
WHOS = ("external", "internal", "all")
LIMITS = {"panel": 100, "page": 250, "weight": 150_000}
REQUESTS, CONNECTIONS, DRAINED = 10_000, 8, "events-drained"
# As many as they may be, evenly over the seconds of a drain: each connection waits between its requests.
SCRIPT = """local paths, sent, answered = {"/", "/dashboard.js", "/api/v1/pipeline/live?since=0"}, 0, 0
request = function() sent = sent + 1; return wrk.format("GET", paths[sent %% 3 + 1]) end
delay = function() return 6 end
response = function() answered = answered + 1; if answered >= %d then wrk.thread:stop() end end
""" % REQUESTS
NICE = re.search(r"^Nice=(\d+)$", (ROOT / "deploy/systemd/tallymill-dashboard.service").read_text(), re.MULTILINE).group(1)


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run dashboard", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--runs", type=int, default=40, help="ranges for each panel and page")
    parser.add_argument("--drain-rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.set_defaults(only="")  # every rollup
    return parser.parse_args(words)


@contextlib.contextmanager
def page(servers):
    """The address of the dashboard, and its process."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(["nice", "-n", NICE, ROOT / "build/bin/tallymill", "dashboard", "--config", servers.settings, "--set", "dashboard.listen=127.0.0.1:0"], stderr=log, stdout=log)
        try:
            for _ in range(600):
                log.seek(0)
                found = re.search(r"address=http://(\S+)/", log.read())
                if found:
                    break
                time.sleep(0.05)
            else:
                raise RuntimeError("the dashboard was not served within 30 s")
            yield found.group(1), process.pid
        finally:
            process.terminate()
            process.wait(30)


def get(address, path, **headers):
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: status {answer.status}: {body[:200]}")
        return body
    finally:
        connection.close()


def ranges(options, today):
    """Ranges of 7, 28 and 91 days (or as many as there are) that end at random, each for somebody else."""
    source = random.Random(1)
    for number in range(options.runs):
        length = min((7, 28, 91)[number % 3], options.days)
        last = today - datetime.timedelta(days=1 + source.randrange(max(1, options.days - length)))
        yield {"range": "custom", "first": str(last - datetime.timedelta(days=length - 1)), "last": str(last), "who": WHOS[number // 3 % 3]}


def measure_pages(servers, options, address):
    """(panel to its times, page to its times, raw times), in ms."""
    panels, pages, raw = {}, {}, []
    today = datetime.datetime.now(datetime.timezone.utc).date()
    with contextlib.closing(psycopg2.connect(servers.dsn, options="-c timezone=UTC -c jit=off")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for number, asked in enumerate(ranges(options, today)):
            for tab in TABS:
                began = time.monotonic()
                answer = json.loads(get(address, f"/api/v1/page/{tab}?{urllib.parse.urlencode(asked)}"))
                pages.setdefault(tab, []).append((time.monotonic() - began) * 1000)
                for panel in answer["panels"]:
                    if panel.get("trouble_kind") == "who":
                        continue
                    if "sql" not in panel:
                        raise RuntimeError(f"panel {panel['name']}: {panel}")
                    panels.setdefault(panel["name"], []).append(queries.timed(cursor, panel["sql"].replace("%", "%%"), ())[0])
            if number % 10 == 0:
                raw += [queries.timed(cursor, queries.RANGES[name][1], {"first": asked["first"], "last": asked["last"]})[0] for name in ("range sessions of *", "range users of *")]
    return panels, pages, raw


def weigh(address):
    """Bytes of the page with its scripts and the overview's figures, packed."""
    names = ["/", "/style.css", "/uplot.css", "/uplot.js", "/mark.svg", *(f"/{path.name}" for path in (ROOT / "operator/dashboard/web").glob("*.js"))]
    return sum(len(get(address, name, **{"Accept-Encoding": "gzip"})) for name in names) + len(gzip.compress(get(address, "/api/v1/page/overview")))


def drained(servers, pid, address=None):
    """(rows/s of one worker, CPU seconds of the dashboard in each second meanwhile), beside the requests where there is an address."""
    def work():
        if not address:
            return drain.drain(servers, 1, 600, DRAINED)
        script = pathlib.Path(servers.state) / "requests.lua"
        script.write_text(SCRIPT)
        asking = subprocess.Popen(["nice", "-n", "19", "wrk", "-t1", f"-c{CONNECTIONS}", "-d120s", "-s", script, f"http://{address}"], stdout=subprocess.PIPE, text=True)
        figures = drain.drain(servers, 1, 600, DRAINED)
        told = asking.communicate(timeout=180)[0]
        print("  " + "; ".join(line.strip() for line in told.splitlines() if "requests in" in line or "Latency" in line or "errors" in line or "Non-2xx" in line), file=sys.stderr)
        if asking.returncode or "Non-2xx" in told:
            raise RuntimeError(f"wrk: {told}")
        return figures
    began, cpu = time.monotonic(), cpu_seconds(pid)
    rate = drain.measure(servers, work)["rate"]
    return rate, (cpu_seconds(pid) - cpu) / (time.monotonic() - began)


def measure_drain(servers, options, address, pid):
    """A list of pairs of what drained() gives: alone, and beside the requests."""
    topic.generate(servers, options.drain_rows, DRAINED)
    return [(drained(servers, pid), drained(servers, pid, address)) for _ in range(options.pairs)]


def compare_drains(pairs):
    """Rates of a drain differ by a tenth and more from one to the next; what the requests take of the machine's CPU does not, and is what they can slow."""
    rates = sorted(beside[0] / alone[0] for alone, beside in pairs)
    share = statistics.median(beside[1] - alone[1] for alone, beside in pairs) / os.cpu_count()
    figures = {"rate_alone": round(statistics.median(alone[0] for alone, _ in pairs)), "rate_beside_requests": round(statistics.median(beside[0] for _, beside in pairs)),
               "rates_range": [round(rates[0], 3), round(rates[-1], 3)], "cpu_share_of_requests": round(share, 4)}
    print(f"  drain {figures['rate_alone']:,} rows/s alone, {figures['rate_beside_requests']:,} beside {REQUESTS:,} requests: {statistics.median(rates):.3f} (from {rates[0]:.3f} to {rates[-1]:.3f});"
          f" of the machine's CPU they take {share:.2%}", file=sys.stderr)
    return round(statistics.median(rates), 3), figures


def report(options, times, weight, pairs, stored):
    panels, pages, raw = times
    worst = max(panels, key=lambda name: queries.percentile(panels[name], 0.95))
    slowest = max(pages, key=lambda name: queries.percentile(pages[name], 0.95))
    worst_ms, slowest_ms = queries.percentile(panels[worst], 0.95), queries.percentile(pages[slowest], 0.95)
    ratios = {"panel": round(worst_ms / LIMITS["panel"], 3), "page": round(slowest_ms / LIMITS["page"], 3), "weight": round(weight / LIMITS["weight"], 3)}
    print(f"\ndashboard: {stored:,} events over {options.days} days", file=sys.stderr)
    for name in sorted(panels, key=lambda name: -queries.percentile(panels[name], 0.95))[:12]:
        print(f"  panel {name:<24} p50 {statistics.median(panels[name]):>8.2f} ms, p95 {queries.percentile(panels[name], 0.95):>8} ms", file=sys.stderr)
    for name in TABS:
        print(f"  page {name:<25} p50 {statistics.median(pages[name]):>8.2f} ms, p95 {queries.percentile(pages[name], 0.95):>8} ms", file=sys.stderr)
    print(f"  raw, distinct sessions or users   p50 {statistics.median(raw):>8.1f} ms; the page weighs {weight / 1000:.1f} kB packed", file=sys.stderr)
    figures = {"bench": "dashboard", "ratio": ratios["panel"], "ratios": ratios, "rows": stored, "days": options.days, "worst_panel": worst, "worst_panel_p95_ms": worst_ms, "slowest_page": slowest,
               "slowest_page_p95_ms": slowest_ms, "raw_p50_ms": round(statistics.median(raw), 1), "weight_bytes": weight}
    if pairs:
        ratios["requests"], drains = compare_drains(pairs)
        figures.update(drains)
    return figures


def run(words):
    options = arguments(words)
    if options.pairs > 0 and not shutil.which("wrk"):
        print("tests/bench/run dashboard: there is no wrk (Debian's package of that name); --pairs 0 leaves out what needs it", file=sys.stderr)
        return None
    with stack() as servers:
        queries.load(servers, options)
        with page(servers) as (address, pid):
            times, weight = measure_pages(servers, options, address), weigh(address)
            stored = servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0]
            pairs = measure_drain(servers, options, address, pid) if options.pairs > 0 else None
        return report(options, times, weight, pairs, stored)
