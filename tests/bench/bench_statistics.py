"""statistics: what the daily statistics cost, and how exact and how fresh they are.

    P15  CPU per event (us) of the aggregator and its backend, while a writer commits batches of 5,000 as fast as it can; at 5,000 events
         a second, where the fixed cost of a cycle each second weighs more, the same figure stands beside it; and at full speed
         without the deltas that workers leave (common/delta.h), when the rows are read back
    P16  CPU of one REFRESH MATERIALIZED VIEW CONCURRENTLY of the plan's view over that of the cycle that takes in 5,000 new events
    P17  CPU of a cycle of 5,000 new events at --rows rows of history over one at --rows / 100
    P18  largest relative difference of both distinct counts from the raw query (0: exact)
    and the seconds from a commit to its statistic, p50 and p99

CPU comes from /proc/PID/schedstat of the aggregator and of its own backend. The two sizes are two databases of one server. Rollups and uniques
of the history, which the same process computes beside its cycles, are waited for: bench `backfill` has them.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import time

import psycopg2

from processes import cpu_ns
from servers import ROOT, stack
from statistics_rows import TOPIC, fill

VIEW = """
CREATE MATERIALIZED VIEW analytics_daily_rollup AS
SELECT DATE(created_at) as date, event_name, COUNT(*) as event_count, COUNT(DISTINCT session_id) as unique_sessions,
  COUNT(DISTINCT user_id) as unique_users
FROM analytics_events WHERE is_internal = FALSE GROUP BY DATE(created_at), event_name"""
COMPUTED = (ROOT / "operator/sql/status_rollups.sql").read_text()
FOLDED = """SELECT NOT EXISTS (SELECT FROM tallymill.unfolded) AND NOT EXISTS (SELECT FROM tallymill.days WHERE dirty_since IS NOT NULL)"""
ERROR = """
SELECT coalesce(max(greatest(abs(s.unique_sessions - r.sessions)::float8 / greatest(r.sessions, 1),
                             abs(s.unique_users - r.users)::float8 / greatest(r.users, 1),
                             abs(s.event_count - r.events)::float8 / greatest(r.events, 1))), 0)
FROM (SELECT event_name, count(*) AS events, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users FROM analytics_events
      WHERE created_at >= current_date - 1 AND created_at < current_date AND is_internal = false GROUP BY 1
      ) r JOIN analytics_daily_stats s ON s.date = current_date - 1 AND s.event_name = r.event_name"""
ERROR_TODAY = ERROR.replace("current_date - 1 AND created_at < current_date", "current_date").replace("current_date - 1 AND s.", "current_date AND s.")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Place:
    """A database with a history, its writer, and an aggregator that has taken the history in."""

    def __init__(self, servers, name, rows, build):
        self.build, self.rows = build, rows
        self.settings = servers.state / f"{name}.ini"
        servers.sql(f"CREATE DATABASE {name}")
        self.dsn = servers.dsn.replace("dbname=tallymill", f"dbname={name}")
        self.settings.write_text(servers.settings.read_text().replace(servers.dsn, self.dsn))
        subprocess.run([self.build / "bin/tallymill", "migrate", "--no-topic", "--config", self.settings], check=True, stdout=subprocess.DEVNULL)
        say(f"filling {rows:,} rows of history")
        self.writer = fill(self.dsn, rows, say)
        self.connection = psycopg2.connect(self.dsn, options="-c TimeZone=UTC")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.aggregator = None

    def value(self, statement, *values):
        self.cursor.execute(statement, values or None)
        return self.cursor.fetchone()[0]

    def start(self):
        self.aggregator = subprocess.Popen([self.build / "bin/tallymill-aggregator", "--config", self.settings, "--set", "log.level=warn"])
        self.wait_until_folded(900)
        self.writer.batch(1)
        self.wait_until_settled()       # it leads, and holds today in memory
        self.wait_until_computed(3600)
        self.backend = self.value("SELECT backend_pid FROM tallymill.leader")   # not that of its rollups

    def stop(self):
        if self.aggregator:
            self.aggregator.terminate()
            self.aggregator.wait(30)
            self.aggregator = None

    def wait_until_folded(self, deadline=60):
        limit = time.monotonic() + deadline
        while not self.value(FOLDED):
            if time.monotonic() > limit or (self.aggregator and self.aggregator.poll() is not None):
                raise RuntimeError("the aggregator does not take the events in")
            time.sleep(0.02)

    def wait_until_computed(self, deadline):
        limit = time.monotonic() + deadline
        while True:
            self.cursor.execute(COMPUTED)
            row = dict(zip([column.name for column in self.cursor.description], self.cursor.fetchone()))
            if row["waiting"] == 0:
                return
            if time.monotonic() > limit or self.aggregator.poll() is not None:
                raise RuntimeError(f"rollups and uniques of {row['waiting']} days are not computed")
            time.sleep(1)

    def cpu(self):
        """CPU so far in us: (aggregator, its backend)."""
        return cpu_ns(self.aggregator.pid) / 1000, cpu_ns(self.backend) / 1000

    def cycle_us(self, events, count):
        """Median CPU of the cycles that take in so many new events, each its own batch."""
        taken = []
        for _ in range(count):
            self.writer.batch(events)
            self.wait_until_settled()
            before = sum(self.cpu())
            self.writer.batch(events)
            self.wait_until_settled()
            taken.append(sum(self.cpu()) - before)
        return statistics.median(taken)

    def wait_until_settled(self):
        """Folded, and the cycle that did it has ended its COMMIT."""
        self.wait_until_folded()
        time.sleep(0.05)


def flow(place, rate, seconds):
    """A writer commits ten times a second. CPU us per event of aggregator and backend; seconds from commit to statistic."""
    per_batch, waiting, ages = rate // 10, [], []
    place.wait_until_settled()
    before, started, events = place.cpu(), time.monotonic(), 0
    while time.monotonic() < started + seconds or (waiting and time.monotonic() < started + seconds + 30):
        if time.monotonic() < started + seconds and time.monotonic() >= started + events / rate:
            place.writer.batch(per_batch)
            events += per_batch
            turn = (place.writer.turn - 1) % len(place.writer.places)
            waiting.append((turn, place.writer.places[turn][1], time.monotonic()))
        place.cursor.execute("SELECT topic_partition, next_offset FROM tallymill.folded WHERE topic = %s", (TOPIC,))
        folded, now = dict(place.cursor.fetchall()), time.monotonic()
        ages += [now - at for number, end, at in waiting if folded.get(number, 0) >= end]
        waiting = [one for one in waiting if folded.get(one[0], 0) < one[1]]
        time.sleep(0.005)
    after = place.cpu()
    ages.sort()
    return ([(b - a) / events for a, b in zip(before, after)], ages[len(ages) // 2], ages[min(len(ages) - 1, len(ages) * 99 // 100)], events)


def full_speed(place, batches):
    """CPU us per event of aggregator and backend while batches of 5,000 are committed without a pause."""
    place.wait_until_settled()
    before = place.cpu()
    for _ in range(batches):
        place.writer.batch(5_000)
    place.wait_until_settled()
    return [(b - a) / (batches * 5_000) for a, b in zip(before, place.cpu())]


def refresh_us(place):
    """CPU of one REFRESH ... CONCURRENTLY of the plan's view, after 5,000 new events, in its own backend."""
    place.cursor.execute("SET max_parallel_workers_per_gather = 0")
    place.cursor.execute(VIEW)
    place.cursor.execute("CREATE UNIQUE INDEX ON analytics_daily_rollup (date, event_name)")
    place.writer.batch(5_000)
    pid = place.value("SELECT pg_backend_pid()")
    before = cpu_ns(pid)
    place.cursor.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY analytics_daily_rollup")
    return (cpu_ns(pid) - before) / 1000


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run statistics", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of history; a hundredth of it in the small database")
    parser.add_argument("--cycles", type=int, default=15)
    parser.add_argument("--batches", type=int, default=100, help="of 5,000 events, at full speed")
    parser.add_argument("--seconds", type=int, default=30, help="how long the steady flow lasts")
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--no-refresh", action="store_true", help="leave the materialized view out: no P16")
    parser.add_argument("--build", default=str(ROOT / "build"))
    return parser.parse_args(words)


def measure(servers, options, build):
    figures = {"bench": "statistics", "rows": options.rows}
    with contextlib.ExitStack() as stack_of_places:
        small, big = [Place(servers, name, rows, build) for name, rows in (("small", max(options.rows // 100, 50_000)), ("big", options.rows))]
        cycles = []
        for place in (small, big):
            place.start()
            stack_of_places.callback(place.stop)
        for _ in range(3):      # in turn: what disturbs one disturbs the other
            cycles.append([place.cycle_us(5_000, max(options.cycles // 3, 1)) for place in (small, big)])
        small.stop()
        small_us, big_us = [statistics.median(pair[i] for pair in cycles) for i in (0, 1)]
        ours, backend = full_speed(big, options.batches)
        big.writer.leaves_deltas = False
        read_back = full_speed(big, options.batches)
        big.writer.leaves_deltas = True
        steady, p50, p99, events = flow(big, options.rate, options.seconds)
        big.wait_until_settled()
        error = max(float(big.value(ERROR)), float(big.value(ERROR_TODAY)))
        figures |= {
            "cpu_us_per_event": round(ours + backend, 3), "aggregator_us_per_event": round(ours, 3), "backend_us_per_event": round(backend, 3),
            "cpu_us_per_event_read_back": round(sum(read_back), 3), "cpu_us_per_event_steady": round(sum(steady), 3), "cycle_us_small": round(small_us), "cycle_us_big": round(big_us), "cycle_us_per_event": round(big_us / 5_000, 3),
            "freshness_s": {"p50": round(p50, 3), "p99": round(p99, 3)}, "events": events, "distinct_error": error}
        figures["ratios"] = {"P15": figures["cpu_us_per_event"], "P17": round(big_us / small_us, 3), "P18": error}
        big.stop()
        if not options.no_refresh:
            figures["refresh_us"] = round(refresh_us(big))
            figures["ratios"]["P16"] = round(figures["refresh_us"] / big_us, 1)
    figures["ratio"] = figures["ratios"]["P15"]
    return figures


def run(words):
    options = arguments(words)
    with stack() as servers:
        figures = measure(servers, options, type(ROOT)(options.build))
    fresh = figures["freshness_s"]
    say(f"""
statistics: {options.rows:,} rows of history, {figures['events']:,} events at {options.rate:,}/s
  P15 CPU per event    {figures['cpu_us_per_event']} us (aggregator {figures['aggregator_us_per_event']}, backend {figures['backend_us_per_event']}); in single cycles of 5,000: {figures['cycle_us_per_event']}; at {options.rate:,}/s: {figures['cpu_us_per_event_steady']}; rows read back: {figures['cpu_us_per_event_read_back']}
  P16 refresh / cycle  {figures['ratios'].get('P16', 'not asked')}
  P17 big / small      {figures['ratios']['P17']} ({figures['cycle_us_big']} / {figures['cycle_us_small']} us of CPU)
  P18 distinct error   {figures['distinct_error']}
  freshness            p50 {fresh['p50']} s, p99 {fresh['p99']} s""")
    return figures
