"""latency: from tally_publish() to the row being visible to another session, over its two bare halves in the same run.

Open loop at a fixed rate: each event carries the time at which it was due as created_at, so a sender that falls behind makes latencies longer, not fewer.
A second session asks for new ledger rows every two milliseconds. A batch that a look shows and the one before it did not became visible between the two:
the middle is taken, so that neither the pause nor what a look takes (its median is printed) is counted as ours, and that looking takes little of the machine.

The bare halves: the same bytes from rd_kafka_produce to a consumer with librdkafka's defaults (latency_driver.c), and then one COPY with its
COMMIT after the other of the very rows of each of our batches into the same table, emptied; a row counts with what its batch took. The broker's CPU is
compared with what it takes in the first half.

Before the first round the topic gets what its first minute brings, at this rate (--before): a steady state is measured, in which the broker no longer
compiles. Of a log younger than that the worker asks Kafka for every batch which topic it is (consumer/worker_prove.c); --before 0 measures those. What
worker and broker take while nothing is sent is measured too, since a shorter wait for a fetch is paid for then.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import statistics
import subprocess
import sys
import time

import psycopg2

import topic
from processes import cpu_seconds, family_cpu_seconds
from servers import ROOT, stack

DRIVER = ROOT / "build/bin/latency-driver"
DRIVERS = (DRIVER.name,)    # what run builds beside the programs
WARM_UP_S, IDLE_S = 2, 8
QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1))
COLUMNS = topic.COLUMNS + ", batch_id"


def watch(dsn, stop, answers):
    """When each batch became visible, and what one look takes."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    # By the index of rows that no merge has taken: so a look does not grow with the ledger.
    cursor.execute("PREPARE look AS SELECT batch_id FROM tallymill.batches WHERE batch_id > $1 AND batch_id = last_batch_id")
    cursor.execute("SELECT coalesce(max(batch_id), 0) FROM tallymill.batches")
    last, seen, looks, looked = cursor.fetchone()[0], {}, [], time.time()
    while not stop.is_set():
        before = time.time()
        cursor.execute("EXECUTE look(%s)", (last - 20,))  # ids of two workers may commit in another order
        took = time.time() - before
        looks.append(took)
        looked, earlier = before + took / 2, looked
        for batch, in cursor.fetchall():
            seen.setdefault(batch, (earlier + looked) / 2)
            last = max(last, batch)
        time.sleep(0.002)
    answers.put((seen, statistics.median(looks)))


@contextlib.contextmanager
def watching(dsn):
    """What watch() found: once the `with` is over, "seen" and "look" (seconds) are in what it gave."""
    stop, answers, found = multiprocessing.Event(), multiprocessing.Queue(), {}
    watcher = multiprocessing.Process(target=watch, args=(dsn, stop, answers))
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        found["seen"], found["look"] = answers.get(timeout=60)
        watcher.join(60)


def drive(who, servers, name, options):
    words = [DRIVER, who, servers.bootstrap, name, str(options.rate * options.seconds), str(options.rate), options.linger]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=options.seconds + 120).stdout


def quantiles(weighted):
    """Of (value, how often) pairs."""
    weighted = sorted(weighted)
    total, passed, found = sum(count for _, count in weighted), 0, {}
    for value, count in weighted:
        passed += count
        for name, share in QUANTILES:
            if name not in found and passed >= total * share:
                found[name] = round(value, 2)
    return found


def bare_kafka(servers, options):
    with topic.scratch(servers, "latency-bench") as name:
        broker = cpu_seconds(servers.broker)
        told = json.loads(drive("bare", servers, name, options))
        return told, cpu_seconds(servers.broker) - broker


@contextlib.contextmanager
def worker_of(servers, options):
    worker = servers.program("tallymill-consumer", "--set", "log.level=warn", *[word for setting in options.set for word in ("--set", setting)])
    try:
        time.sleep(5)  # the group forms
        yield worker
    finally:
        worker.terminate()
        worker.wait(30)


def cpu_of(servers, worker):
    return {"worker": cpu_seconds(worker.pid), "postgres": family_cpu_seconds(servers.postmaster), "broker": cpu_seconds(servers.broker)}


def ours(servers, options):
    """Latencies in ms, CPU seconds, rows of each batch, and what a second without an event takes."""
    servers.sql("TRUNCATE analytics_events")
    events = options.rate * options.seconds
    with worker_of(servers, options) as worker:
        with watching(servers.dsn) as watched:
            start = cpu_of(servers, worker)
            drive("ours", servers, topic.EVENTS, options)
            topic.wait_for(lambda: servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0] >= events, "the last event to be stored")
            cpu = cpu_of(servers, worker)
        processes = (("worker", worker.pid), ("broker", servers.broker), ("postgres", servers.postmaster))
        before = [family_cpu_seconds(pid) for _, pid in processes]
        time.sleep(IDLE_S)
        idle = {name: round((family_cpu_seconds(pid) - was) / IDLE_S * 100, 2) for (name, pid), was in zip(processes, before)}
    rows = servers.sql("SELECT batch_id, (extract(epoch FROM created_at) * 1000000)::bigint FROM analytics_events", fetch=True)
    first = min(created for _, created in rows) + WARM_UP_S * 1_000_000
    latencies = quantiles(((watched["seen"][batch] * 1e6 - created) / 1000, 1) for batch, created in rows if created >= first)
    return latencies, {name: (cpu[name] - start[name]) / events * 1e6 for name in cpu}, idle, watched["look"]


def bare_copy(servers):
    """Each batch of the table once more, in order: ms of a COPY with its COMMIT, weighted by rows. And how many rows a batch has."""
    servers.sql("CREATE INDEX latency_bench ON analytics_events (batch_id)")
    with contextlib.closing(psycopg2.connect(servers.dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT batch_id, count(*) FROM analytics_events GROUP BY 1 ORDER BY 1")
        batches = []
        for batch, rows in cursor.fetchall():
            data = io.BytesIO()
            cursor.copy_expert(f"COPY (SELECT {COLUMNS} FROM analytics_events WHERE batch_id = {batch}) TO STDOUT (FORMAT binary)", data)
            batches.append((rows, data))
        cursor.execute("DROP INDEX latency_bench")
        cursor.execute("TRUNCATE analytics_events")
        cursor.execute("CHECKPOINT")
        took = []
        for rows, data in batches:
            data.seek(0)
            before = time.perf_counter()
            cursor.copy_expert(f"COPY analytics_events ({COLUMNS}) FROM STDIN (FORMAT binary)", data)
            took.append(((time.perf_counter() - before) * 1000, rows))
    return quantiles(took), sum(rows for rows, _ in batches) / len(batches)


def grow_old(servers, options):
    """What was there before the measured events: sent at the rate, and stored. Behind it the broker is in its steady state, and compiles no more."""
    if options.before == 0:
        return
    with worker_of(servers, options):
        drive("ours", servers, topic.EVENTS, argparse.Namespace(**{**vars(options), "seconds": options.before // options.rate}))
        topic.wait_for(lambda: servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0] >= options.before, "the events of before to be stored")


def measure(servers, options):
    kafka, bare_broker = bare_kafka(servers, options)
    latencies, cpu, idle, look = ours(servers, options)
    copy, rows = bare_copy(servers)
    bare_us = bare_broker / (options.rate * options.seconds) * 1e6
    return {"ms": latencies, "bare_kafka_ms": kafka, "bare_copy_ms": copy, "cpu_us_per_event": {**{name: round(us, 2) for name, us in cpu.items()}, "bare_broker": round(bare_us, 2)},
            "idle_cpu_percent": idle, "rows_per_batch": round(rows, 1), "look_ms": round(look * 1000, 3),
            "p50": latencies["p50"] / (kafka["p50"] + copy["p50"]), "p99": latencies["p99"] / (kafka["p99"] + copy["p99"]), "broker": cpu["broker"] / bare_us}


def tell(one):
    print(f"  ours {one['ms']}, bare Kafka {one['bare_kafka_ms']}, bare COPY {one['bare_copy_ms']}\n"
          f"    {one['rows_per_batch']} rows a batch; a look takes {one['look_ms']} ms; CPU us/event {one['cpu_us_per_event']}; idle, % of a core: {one['idle_cpu_percent']}", file=sys.stderr)


def run(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3, help="rounds of ours and its bare halves; medians are given")
    parser.add_argument("--linger", default="5", metavar="MS", help="kafka.linger.ms of both producers; the library's default is 5")
    parser.add_argument("--before", type=int, metavar="EVENTS", help="sent at this rate and stored before the first round; what comes in a minute by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the worker, for a try")
    options = parser.parse_args(words)
    if options.before is None:
        options.before = 60 * options.rate
    options.before -= options.before % options.rate
    with stack() as servers:
        topic.make(servers)
        grow_old(servers, options)
        rounds = [measure(servers, options) for _ in range(options.pairs)]
    ratios = {name: round(statistics.median(one[name] for one in rounds), 3) for name in ("p50", "p99", "broker")}
    figures = {"bench": "latency", "ratio": ratios["p50"], "ratios": {"P9": ratios["p50"], "P9 p99": ratios["p99"], "P9 broker CPU": ratios["broker"]},
               "rate": options.rate, "before": options.before, "linger_ms": options.linger, "seconds": options.seconds, "rounds": rounds}
    print(f"\nlatency: publish() to visible at {options.rate:,}/s over bare Kafka and bare COPY, medians of {options.pairs}: p50 {ratios['p50']}, p99 {ratios['p99']}, broker CPU {ratios['broker']}", file=sys.stderr)
    for one in rounds:
        tell(one)
    return figures
