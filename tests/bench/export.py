"""export (P26's neighbour): seconds and CPU of `tallymill export` of the events over psql's `\\copy` of the same columns; its memory; and a worker beside one.

In turn psql writes the rows to a file of CSV, and we do, as they are (--raw), guarded against spreadsheets, and as NDJSON. What --raw wrote is loaded into a table
and compared by a hash over all columns. The most memory is taken from /proc while it runs, for all rows and for a tenth of them.

Then events flow at a fixed rate through a worker (as in the bench `latency`: from publish() to being visible): alone, beside one export whose reader is so slow
that its snapshot is as old as the run, and beside exports at full speed, one after the other.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg2

import latency
import topic
from processes import family_cpu_seconds
from servers import ROOT, stack

COLUMNS = topic.COLUMNS
HASH = f"SELECT count(*), coalesce(sum(hashtextextended(concat_ws('|', {COLUMNS}), 0)::numeric), 0)::text FROM "
DRIVERS = latency.DRIVERS
FORMS = {"raw": ("--raw",), "guarded": (), "ndjson": ("--format", "ndjson")}
SLICE_BYTES = 1 << 16


def export_command(servers, *words):
    return [ROOT / "build/bin/tallymill", "export", "--config", servers.settings, *words]


def measured(servers, command):
    """Seconds, CPU seconds of it and of the server, and its most memory in MiB."""
    server, began, peak_kib = family_cpu_seconds(servers.postmaster), time.monotonic(), 0
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while True:
        with contextlib.suppress(OSError):
            found = re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
            peak_kib = max(peak_kib, int(found[1])) if found and time.monotonic() - began > 0.1 else peak_kib
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.02)
    took = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return {"seconds": round(took, 2), "cpu_s": round(usage.ru_utime + usage.ru_stime + family_cpu_seconds(servers.postmaster) - server, 2), "peak_mib": round(peak_kib / 1024, 1)}


def turn(servers, folder):
    """A row of figures for each way."""
    copy = f"\\copy (SELECT {COLUMNS} FROM analytics_events) TO '{folder}/copy.csv' WITH (FORMAT csv, HEADER)"
    return {"copy": measured(servers, ["psql", "-qX", servers.dsn, "-c", copy]),
            **{name: measured(servers, export_command(servers, *words, "--output", folder / f"{name}.out")) for name, words in FORMS.items()}}


def compare(servers, folder):
    """What --raw wrote is what the table holds."""
    servers.sql("CREATE TABLE exported (LIKE analytics_events)")
    subprocess.run(["psql", "-qX", servers.dsn, "-c", f"\\copy exported ({COLUMNS}) FROM '{folder}/raw.out' WITH (FORMAT csv, HEADER)"], check=True)
    if servers.sql(HASH + "exported", fetch=True) != servers.sql(HASH + "analytics_events", fetch=True):
        raise RuntimeError("what was exported is not what the table holds")
    servers.sql("DROP TABLE exported")


def memory_of_a_tenth(servers, options, folder):
    """Beside that of all: a day of ten."""
    (day, rows), = servers.sql("SELECT (created_at AT TIME ZONE 'UTC')::date::text, count(*) FROM analytics_events GROUP BY 1 ORDER BY abs(count(*) - "
                               f"{options.rows // 10}) LIMIT 1", fetch=True)
    return {"rows": rows, **measured(servers, export_command(servers, "--output", folder / "tenth.csv", day))}


def export_over_and_over(servers, stop, is_slow):
    """One export after the other; or one whose reader takes a slice twice a second."""
    while not stop.is_set():
        process = subprocess.Popen(export_command(servers), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while not stop.is_set() and process.stdout.read(SLICE_BYTES):
            if is_slow:
                stop.wait(0.5)
        process.kill()
        process.wait()


@contextlib.contextmanager
def exports(servers, is_slow):
    """Exports run until the end of the `with`."""
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=export_over_and_over, args=(servers, stop, is_slow))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(60)


def visible(servers, options):
    """Latencies in ms, from publish() to visible, of events that flow now."""
    events = options.rate * options.seconds
    before, since_us = servers.sql("SELECT count(*), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM analytics_events", fetch=True)[0]
    with latency.watching(servers.dsn) as watched:
        latency.drive("ours", servers, topic.EVENTS, options)
        topic.wait_for(lambda: servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0] >= before + events, "the last event to be stored")
    with contextlib.closing(psycopg2.connect(servers.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT batch_id, (extract(epoch FROM created_at) * 1000000)::bigint FROM analytics_events WHERE created_at >= timestamptz 'epoch' + %s * interval '1 us'",
                       (since_us + latency.WARM_UP_S * 1_000_000,))
        return latency.quantiles(((watched["seen"][batch] * 1e6 - created) / 1000, 1) for batch, created in cursor.fetchall())


def beside_exports(servers, options):
    """The worker's latencies in the three ways, in turn; medians."""
    found = {"alone": [], "beside a long export": [], "beside exports at full speed": []}
    options.linger = "5"
    with latency.worker_of(servers, options):
        for number in range(options.turns):
            for name, rounds in found.items():
                with contextlib.nullcontext() if name == "alone" else exports(servers, "long" in name):
                    rounds.append(visible(servers, options))
                print(f"  turn {number + 1}, {name}: {rounds[-1]}", file=sys.stderr, flush=True)
    return {name: {quantile: round(statistics.median(one[quantile] for one in rounds), 2) for quantile in rounds[0]} for name, rounds in found.items()}


def fill(servers, options):
    topic.make(servers)
    produce = servers.program("tallymill-produce", "--generate", str(options.rows), "--seed", "1", "--days", "10", *topic.words(topic.EVENTS))
    worker = servers.program("tallymill-consumer", "--until-end", *topic.words(topic.EVENTS)) if produce.wait(timeout=3600) == 0 else None
    if not worker or worker.wait(timeout=3600):
        raise RuntimeError("the events could not be stored")
    servers.sql("VACUUM (ANALYZE) analytics_events")
    servers.sql("CREATE INDEX ON tallymill.batches (batch_id)")    # so that a look of latency.watch does not grow with the ledger
    servers.sql("CHECKPOINT")


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run export", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rate", type=int, default=2000, help="events/s beside the exports")
    parser.add_argument("--seconds", type=int, default=20, help="for so long")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the worker, for a try")
    return parser.parse_args(words)


def run(words):
    options = arguments(words)
    with stack() as servers, tempfile.TemporaryDirectory(prefix="tallymill-bench-export-") as name:
        folder = pathlib.Path(name)
        fill(servers, options)
        turns = [turn(servers, folder) for _ in range(options.turns)]
        compare(servers, folder)
        tenth = memory_of_a_tenth(servers, options, folder)
        beside = beside_exports(servers, options)
    medians = {way: {what: statistics.median(one[way][what] for one in turns) for what in turns[0][way]} for way in turns[0]}
    ratios = {f"export {way}": round(medians[way]["seconds"] / medians["copy"]["seconds"], 2) for way in FORMS}
    ratios |= {f"worker p99 {name}": round(beside[name]["p99"] / beside["alone"]["p99"], 2) for name in beside if name != "alone"}
    print(f"\nexport: {options.rows:,} rows, seconds over \\copy's, medians of {options.turns}", file=sys.stderr)
    for way, one in medians.items():
        print(f"  {way:8} {one['seconds']:6.2f} s ({one['seconds'] / medians['copy']['seconds']:.2f}), {one['cpu_s']:.2f} s of CPU, {one['peak_mib']} MiB", file=sys.stderr)
    print(f"  a tenth  {tenth['rows']:,} rows: {tenth['peak_mib']} MiB\n  worker, publish() to visible at {options.rate:,}/s, ms: {json.dumps(beside)}", file=sys.stderr)
    return {"bench": "export", "ratio": ratios["export raw"], "ratios": ratios, "rows": options.rows, "medians": medians, "tenth": tenth, "worker_ms": beside, "turns": turns}
