"""peer (P3, P4): one worker beside one rsyslog (imkafka to ompgsql), the peer that Debian has, on the same events and the same table.

Each reads a topic of its own, loaded before: rsyslog cannot read msgpack, so its topic holds the same events as JSON, with the same keys in the same topic partitions. From empty
tables, in turn: (1) a drain, contents compared by hash: committed rows/s, CPU seconds per million rows of the sink, of Postgres (without the counting) and of the broker. The worker's rate is its ledger's; rsyslog's is by
a count twice a second, from the first rows seen to the last. (2) One row in 10,000 that a CHECK refuses: good rows that are missing once nothing more comes. (3) SIGKILL after
a third of the rows, and a restart at once: rows missing, rows there twice, repeats that the table's key refused, seconds to the next row.
rsyslog's packages are not installed by the bench, which names the command.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time

import confluent_kafka
import psycopg2

import topic
from drain import HASH, drain, dump, empty
from processes import cpu_seconds, family_cpu_seconds
from refused import CHECK, WITH_BAD
from rsyslog import Rsyslog, missing
from servers import stack

IDLE_S = 30         # nothing new for so long, three times a session time-out: that was all
DEADLINE_S = 900


class Worker:
    """One worker on its topic, with the face of Rsyslog."""

    def __init__(self, servers, name, _options):
        self.servers, self.name, self.process, self.cpu = servers, name, None, 0.0

    def start(self):
        self.process = self.servers.program("tallymill-consumer", *topic.words(self.name), "--set", "consumer.instance=bench", "--set", "log.level=error")

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(30)


def send_json(servers, query, name):
    """What topic.send() would send, as JSON text."""
    topic.make(servers, name)
    reader = subprocess.Popen(["psql", "-qXAt", "-v", "FETCH_COUNT=20000", "-d", servers.dsn, "-c", f"SELECT to_jsonb(e) - 'place' FROM ({query}) e ORDER BY place"],
                              stdout=subprocess.PIPE)
    producer = confluent_kafka.Producer({"bootstrap.servers": servers.bootstrap, "compression.type": "lz4", "linger.ms": 20, "enable.idempotence": True,
                                         "partitioner": "murmur2_random"})
    for line in reader.stdout:
        event = json.loads(line)
        while True:
            try:
                producer.produce(name, line.strip(), key=event["session_id"] or event["id"])
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120) or reader.wait(60):
        raise RuntimeError(f"the rows could not be sent to {name}")


class Counter:
    """Counts rows over one connection, and what that costs the server."""

    def __init__(self, servers):
        self.connection = psycopg2.connect(servers.dsn)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.begun = cpu_seconds(self.connection.info.backend_pid)

    def rows(self):
        self.cursor.execute("SELECT count(*) FROM analytics_events")
        return self.cursor.fetchone()[0]

    def close(self):
        """Its CPU seconds."""
        spent = cpu_seconds(self.connection.info.backend_pid) - self.begun
        self.connection.close()
        return spent


def watch(servers, wanted, since=0):
    """(rows, moments of the first new row seen and of the last, CPU seconds of the counting) once the wanted are there or nothing more comes."""
    counter = Counter(servers)
    begun, rows, first, last = time.monotonic(), since, None, time.monotonic()
    while rows < wanted and time.monotonic() < last + IDLE_S:
        if time.monotonic() > begun + DEADLINE_S:
            raise RuntimeError(f"{rows:,} of {wanted:,} rows after {DEADLINE_S} s")
        time.sleep(0.5)
        now = counter.rows()
        if now > rows:
            first, rows, last = first or (time.monotonic(), now), now, time.monotonic()
    return rows, first, last, counter.close()


def drain_with_rsyslog(servers, name, rows, options):
    sink = Rsyslog(servers, name, options)
    sink.start()
    try:
        stored, first, last, counting = watch(servers, rows)
        cpu = sink.cpu_seconds()
    finally:
        sink.end()
    if not first:
        raise RuntimeError("rsyslog stored nothing: " + (sink.folder / "rsyslog.log").read_text()[-500:])
    return (stored - first[1]) / max(last - first[0], 0.5), cpu, counting


def speed(servers, who, names, options):
    empty(servers)
    postgres, broker = family_cpu_seconds(servers.postmaster), cpu_seconds(servers.broker)
    if who == "worker":
        (rate, cpu), counting = drain(servers, 1, DEADLINE_S, names[0]), 0.0
    else:
        rate, cpu, counting = drain_with_rsyslog(servers, names[1], options.rows, options)
    each = {"rows_per_s": rate, "sink_s": cpu, "postgres_s": family_cpu_seconds(servers.postmaster) - postgres - counting,
            "broker_s": cpu_seconds(servers.broker) - broker}
    rows, total = servers.sql(HASH, fetch=True)[0]
    return each | {"rows": rows, "hash": str(total)}


def sink_of(servers, who, names, options):
    return Worker(servers, names[0], options) if who == "worker" else Rsyslog(servers, names[1], options)


def poison(servers, who, names, options):
    """Good rows that are missing when one in 10,000 is refused."""
    empty(servers)
    sink, good = sink_of(servers, who, names, options), options.poisons * 9_999
    sink.start()
    try:
        rows, *_ = watch(servers, good)
    finally:
        sink.end()
    return {"good": good, "missing": good - rows}


def killed(servers, who, names, options):
    """What SIGKILL in the middle and a restart do."""
    empty(servers)
    sink = sink_of(servers, who, names, options)
    conflicts = refused_repeats(servers)
    sink.start()
    try:
        watch(servers, options.rows // 3)
        sink.end(signal.SIGKILL)
        killed_at = time.monotonic()
        time.sleep(0.2)
        before = servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0]     # a COMMIT under way has ended
        sink.start()
        rows, first, *_ = watch(servers, options.rows, before)
    finally:
        sink.end()
    twice = servers.sql("SELECT count(*) - count(DISTINCT id) FROM analytics_events", fetch=True)[0][0]
    return {"missing": options.rows - rows + twice, "twice": twice, "refused_repeats": refused_repeats(servers) - conflicts,
            "seconds_to_next_row": round(first[0] - killed_at, 1) if first else None}


def refused_repeats(servers):
    """How often the server has refused a row for the table's key so far."""
    return (servers.state / "logs/postgres.log").read_text(errors="replace").count("duplicate key value violates")


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run peer", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--poisons", type=int, default=5, help="one in each 10,000 rows")
    parser.add_argument("--peer-batch", type=int, default=2048, help="rsyslog's queue.dequeueBatchSize: rows of a transaction")
    parser.add_argument("--peer-threads", type=int, default=2, help="rsyslog's queue.workerThreads, a connection each")
    parser.add_argument("--peer-queue", type=int, default=100_000, help="rsyslog's queue.size")
    parser.add_argument("--peer-retries", type=int, default=0, help="rsyslog's action.resumeRetryCount; -1: for ever")
    return parser.parse_args(words)


def load(servers, options):
    """The two topics of good events, and the two with poison."""
    topic.generate(servers, options.poisons * 10_000, "poison-source")
    dump(servers, "poison-source").unlink()
    topic.send(servers, WITH_BAD, "poison-msgpack")
    send_json(servers, WITH_BAD, "poison-json")
    topic.generate(servers, options.rows, "msgpack")
    dump(servers, "msgpack").unlink()
    send_json(servers, f"SELECT n AS place, {topic.COLUMNS} FROM ({topic.NUMBERED}) r", "json")
    servers.sql(CHECK)


def report(options, speeds, poisons, kills):
    def median(who, key):
        return statistics.median(one[key] for one in speeds[who])

    sinks = {who: {"rows_per_s": round(median(who, "rows_per_s")),
                   "cpu_s_per_million": {key: round(median(who, f"{key}_s") / options.rows * 1e6, 2) for key in ("sink", "postgres", "broker")},
                   "poison": poisons[who], "kill": kills[who], "rows": min(one["rows"] for one in speeds[who]),
                   "contents_equal": {one["hash"] for one in speeds[who]} == {speeds["worker"][0]["hash"]}} for who in speeds}
    ratios = {"P3": round(sinks["worker"]["rows_per_s"] / sinks["rsyslog"]["rows_per_s"], 2),
              "P4": round(sinks["rsyslog"]["cpu_s_per_million"]["sink"] / sinks["worker"]["cpu_s_per_million"]["sink"], 1)}
    print(f"\npeer: {options.rows:,} events, {options.pairs} pairs; rsyslog: batches of {options.peer_batch:,}, {options.peer_threads} threads, a queue of {options.peer_queue:,}, "
          f"{options.peer_retries} retries\n  {'':<10}{'rows/s':>9} {'CPU s per M rows: sink':>24} {'Postgres':>9} {'broker':>7} {'contents':>9} {'poison: missing':>16} "
          f"{'kill -9: missing':>17} {'twice':>6} {'repeats refused':>16} {'s to next row':>14}", file=sys.stderr)
    for who, one in sinks.items():
        cpu, kill = one["cpu_s_per_million"], one["kill"]
        print(f"  {who:<10}{one['rows_per_s']:>9,} {cpu['sink']:>24} {cpu['postgres']:>9} {cpu['broker']:>7} {'equal' if one['contents_equal'] else 'DIFFER':>9} "
              f"{one['poison']['missing']:>16,} {kill['missing']:>17,} {kill['twice']:>6} {kill['refused_repeats']:>16,} {str(kill['seconds_to_next_row']):>14}", file=sys.stderr)
    print(f"  P3 {ratios['P3']} (rows/s, worker over rsyslog), P4 {ratios['P4']} (CPU of the sink, rsyslog over worker)", file=sys.stderr)
    return {"bench": "peer", "ratio": ratios["P3"], "ratios": ratios, "rows": options.rows, "pairs": options.pairs, "poisons": options.poisons, "sinks": sinks,
            "peer": {"batch": options.peer_batch, "threads": options.peer_threads, "queue": options.peer_queue, "retries": options.peer_retries}}


def run(words):
    options = arguments(words)
    if missing():
        print(f"tests/bench/run peer: {missing()}", file=sys.stderr)
        return None
    whose = ("worker", "rsyslog")
    with stack() as servers:
        load(servers, options)
        speeds = {who: [] for who in whose}
        for _ in range(options.pairs):
            for who in whose:
                speeds[who].append(speed(servers, who, ("msgpack", "json"), options))
        poisons = {who: poison(servers, who, ("poison-msgpack", "poison-json"), options) for who in whose}
        kills = {who: killed(servers, who, ("msgpack", "json"), options) for who in whose}
    return report(options, speeds, poisons, kills)
