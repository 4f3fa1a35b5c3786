"""import: events/s of tallymill-produce from a file, mapped, over `kcat -P` of as many messages of the same bytes that need no more than sending.

kcat sends the lines of the NDJSON file as they are, one a message, with the producer's settings (acks=all, idempotent, linger 5 ms, lz4); each run has a topic of
its own. Memory: the peak of an import of the file and of one a hundredth of it.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
import time

import msgpack

import topic
from servers import ROOT, stack

MAPPING = ["--map", "event_name=kind", "--map", "session_id=who.session", "--map", "created_at=at", "--rest", "event_data"]


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run import", description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--pairs", type=int, default=3)
    return parser.parse_args(words)


def record(number, at):
    return {"kind": "page_view", "who": {"session": f"session-{number % 5003}"}, "at": at, "path": f"/articles/{number}/view", "status": 200, "bytes": number * 7,
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36", "score": number / 7}


def write(folder, name, events):
    at = time.strftime("%Y-%m-%dT%H:%M:%S.25Z", time.gmtime())
    files = {kind: folder / f"{name}.{kind}" for kind in ("ndjson", "csv", "msgpack")}
    with open(files["ndjson"], "w") as lines, open(files["csv"], "w", newline="") as table, open(files["msgpack"], "wb") as packed:
        rows = csv.writer(table)
        rows.writerow(["kind", "who.session", "at", "path", "status", "bytes", "agent", "score"])
        for number in range(events):
            made = record(number, at)
            lines.write(json.dumps(made) + "\n")
            packed.write(msgpack.packb(made))
            rows.writerow([made["kind"], made["who"]["session"], at, *(made[key] for key in ("path", "status", "bytes", "agent", "score"))])
    return files


def peak_kib(pid):
    """The most memory that it has had; what wait4 tells is never less than what this program had when it forked."""
    with contextlib.suppress(OSError):
        for field in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if field.startswith("VmHWM:"):
                return int(field.split()[1])
    return 0


def timed(servers, command, events):
    """Events a second, and the peak of its memory in KiB."""
    with topic.scratch(servers, "import-bench") as name:
        words = [str(word).replace("TOPIC", name) for word in command]
        start = time.monotonic()
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        peak, ended = 0, select.poll()
        end = os.pidfd_open(child.pid)
        ended.register(end, select.POLLIN)
        while not ended.poll(20):
            peak = max(peak, peak_kib(child.pid))
        elapsed = time.monotonic() - start
        os.close(end)
    if child.wait() != 0:
        raise RuntimeError(f"{words[0]} ended with status {child.returncode}")
    return events / elapsed, peak


def run(words):
    options = arguments(words)
    rates = {"kcat": [], "ndjson": [], "csv": [], "msgpack": []}
    with tempfile.TemporaryDirectory() as made, stack() as servers:
        large, small = (write(pathlib.Path(made), name, events) for name, events in (("large", options.events), ("small", max(1, options.events // 100))))
        produce = [ROOT / "build/bin/tallymill-produce", "--config", servers.settings, "--set", "topics.events=TOPIC", *MAPPING]
        kcat = ["kcat", "-P", "-b", servers.bootstrap, "-t", "TOPIC", "-l", large["ndjson"], "-X", "acks=all", "-X", "enable.idempotence=true", "-X", "linger.ms=5",
                "-X", "compression.codec=lz4", "-X", "queue.buffering.max.messages=1000000"]
        peaks = {"small": timed(servers, [*produce, small["ndjson"]], 1)[1]}
        for _ in range(options.pairs):
            rates["kcat"].append(timed(servers, kcat, options.events)[0])
            for kind in ("ndjson", "csv", "msgpack"):
                rate, peak = timed(servers, [*produce, large[kind]], options.events)
                rates[kind].append(rate)
                peaks[kind] = max(peak, peaks.get(kind, 0))
    ratios = {kind: statistics.median(ours / theirs for ours, theirs in zip(rates[kind], rates["kcat"])) for kind in ("ndjson", "csv", "msgpack")}
    for kind, each in rates.items():
        print(f"{kind:8} {statistics.median(each):12,.0f} events/s" + (f"   {ratios[kind]:.2f} of kcat" if kind in ratios else ""), file=sys.stderr)
    print(f"peak memory, KiB: {peaks}", file=sys.stderr)
    return {"bench": "import", "ratio": ratios["ndjson"], "ratios": {"P25": ratios["ndjson"]}, "by_format": ratios, "rates": rates, "peak_kib": peaks, "events": options.events}
