"""latency: from tally_publish() to the row being visible to another session, open loop at a fixed rate.

Each event carries its intended time of sending as created_at, so a sender that falls behind makes latencies longer, not fewer. A second session
asks for new ledger rows every millisecond, and notes when it first saw each batch; an event was visible by then. That millisecond and what the asking takes
(its median is printed) are included; asking without a pause would take one of two cores away from what is measured. The library is called through ctypes: a call costs about 2 us more than from C.
"""

import argparse
import ctypes
import multiprocessing
import statistics
import subprocess
import sys
import time

import psycopg2

from processes import cpu_seconds, family_cpu_seconds
from servers import ROOT, stack


class Setting(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]


def load_library():
    library = ctypes.CDLL(str(ROOT / "build/lib/libtallymill.so"))
    library.tally_open.restype = library.tally_event_new.restype = ctypes.c_void_p
    for name in ("tally_event_begin", "tally_event_session"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.tally_event_text.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    library.tally_event_number.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double]
    library.tally_event_user.argtypes = library.tally_event_created.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.tally_publish.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.tally_flush.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.tally_flush.restype = ctypes.c_bool
    library.tally_close.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    return library


def publish(bootstrap, rate, seconds, linger):
    """Sends rate * seconds events, each at its intended time or as soon after it as the loop comes round."""
    library = load_library()
    settings = (Setting * 3)((b"kafka.bootstrap.servers", bootstrap.encode()), (b"kafka.linger.ms", linger.encode()), (None, None))
    error = ctypes.create_string_buffer(1024)
    producer = library.tally_open(settings, None, error)
    event = library.tally_event_new()
    start = time.time() + 0.5
    for number in range(rate * seconds):
        due = start + number / rate
        while time.time() < due:
            time.sleep(0.0002)
        library.tally_event_begin(event, b"doc_generation")
        library.tally_event_session(event, b"session-%d" % (number % 5000))
        library.tally_event_user(event, number % 1000)
        library.tally_event_created(event, int(due * 1e6))
        library.tally_event_text(event, b"doc_type", b"README")
        library.tally_event_number(event, b"duration", 12.5)
        if library.tally_publish(producer, event, error) != 0:
            raise RuntimeError("tally_publish refused an event")
    library.tally_flush(producer, 30000)
    library.tally_close(producer, 30000, None)


def watch(dsn, stop, answers):
    """When each batch was first seen, and what one look takes."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("PREPARE look AS SELECT DISTINCT batch_id FROM tallymill.batches WHERE batch_id > $1")
    cursor.execute("CREATE INDEX ON tallymill.batches (batch_id)")  # so that a look does not grow with the ledger
    last, seen, looks = 0, {}, []
    while not stop.is_set():
        before = time.time()
        cursor.execute("EXECUTE look(%s)", (last - 20,))  # ids of two workers may commit in another order
        now = time.time()
        looks.append(now - before)
        for batch, in cursor.fetchall():
            seen.setdefault(batch, now)
            last = max(last, batch)
        time.sleep(0.001)
    answers.put((seen, statistics.median(looks)))


def measure(servers, rate, seconds, linger):
    stop, answers = multiprocessing.Event(), multiprocessing.Queue()
    watcher = multiprocessing.Process(target=watch, args=(servers.dsn, stop, answers))
    watcher.start()
    postgres, broker = family_cpu_seconds(servers.postmaster), cpu_seconds(servers.broker)
    sender = multiprocessing.Process(target=publish, args=(servers.bootstrap, rate, seconds, linger))
    sender.start()
    sender.join(seconds + 60)
    deadline = time.monotonic() + 60
    while servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0] < rate * seconds:
        if time.monotonic() > deadline:
            raise RuntimeError("not all events arrived within 60 s")
        time.sleep(0.2)
    stop.set()
    seen, look = answers.get(timeout=60)
    watcher.join(60)
    rows = servers.sql("SELECT batch_id, (extract(epoch FROM created_at) * 1000000)::bigint FROM analytics_events", fetch=True)
    first = min(created for _, created in rows) + 2_000_000  # the first two seconds warm up
    latencies = sorted((seen[batch] * 1e6 - created) / 1000 for batch, created in rows if created >= first)
    return latencies, look, family_cpu_seconds(servers.postmaster) - postgres, cpu_seconds(servers.broker) - broker


def run(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--linger", default="1", metavar="MS", help="the library's kafka.linger.ms: a small one has the broker answer a request for every few events")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the worker, for a try")
    options = parser.parse_args(words)
    with stack() as servers:
        subprocess.run([ROOT / "build/bin/tallymill", "migrate", "--config", servers.settings], check=True, stdout=subprocess.DEVNULL)
        worker = servers.program("tallymill-consumer", "--set", "log.level=warn", *[word for setting in options.set for word in ("--set", setting)])
        try:
            time.sleep(5)  # the group forms
            latencies, look, postgres, broker = measure(servers, options.rate, options.seconds, options.linger)
            worker_cpu = cpu_seconds(worker.pid)
        finally:
            worker.terminate()
            worker.wait(30)
        batches = servers.sql("SELECT count(DISTINCT batch_id) FROM tallymill.batches", fetch=True)[0][0]
    events = options.rate * options.seconds
    at = {name: round(latencies[min(len(latencies) - 1, int(len(latencies) * share))], 2)
          for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1))}
    # Goals are times here, so the ratio is the goal's over ours: 1 or more is met.
    figures = {"bench": "latency", "ratio": round(20 / at["p99"], 3), "ratios": {"P9": round(20 / at["p99"], 3)}, "ms": at, "rate": options.rate, "linger_ms": options.linger,
               "events": events, "rows_per_batch": round(events / batches, 1), "look_ms": round(look * 1000, 3),
               "cpu_us_per_event": {"worker": round(worker_cpu / events * 1e6, 2), "postgres": round(postgres / events * 1e6, 2),
                                    "broker": round(broker / events * 1e6, 2)}}
    print(f"\nlatency: publish() to visible at {options.rate:,}/s, {len(latencies):,} events, ms: "
          + ", ".join(f"{name} {value}" for name, value in at.items())
          + f"\n  {figures['rows_per_batch']} rows a batch; a look takes {figures['look_ms']} ms; CPU us/event {figures['cpu_us_per_event']}", file=sys.stderr)
    return figures
