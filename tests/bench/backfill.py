"""backfill: what a history costs until its statistics and all rollups are there.

    P23  sparse  82,000 events on about 7,000 of 7,820 days (257 months): seconds of the aggregator, from the last row stored until status shows nothing waiting;
                 then the seconds of `tallymill verify` over all of it
         dense   5 M events over 1,000 days: CPU of aggregator and server over the CPU of the same figures by one plain GROUP BY each
         day     CPU of the aggregator and the server for one day of four, rebuilt with all rollups, at 257 months of history over the same at 13;
                 beside it the same of a day alone, where the session's first look at each month (about 0.2 ms of CPU a month) is part of it

The plain queries are the rollups' own, over all days at once and over the table itself, each into a table, by one session; the shares of what they
cost and what we cost come from /proc: user and system time of the aggregator, and of the postmaster with all its children.
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

import psycopg2

from processes import family_cpu_seconds
from servers import ROOT, stack

MONTHS, FEW_MONTHS, REBUILT_DAYS = 257, 13, 4
PLAIN = """
CREATE SCHEMA plain;
CREATE VIEW plain.settled_events AS SELECT * FROM public.analytics_events WHERE is_internal = FALSE;
CREATE VIEW plain.range_events AS
  SELECT (created_at AT TIME ZONE 'UTC')::date AS date, date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week, * FROM plain.settled_events;
CREATE VIEW plain.range_days AS SELECT day AS date FROM tallymill.days"""
STATISTICS = """SELECT date, event_name, count(*) AS events, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users
FROM tallymill.range_events GROUP BY 1, 2"""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Place:
    """A database of its own with a topic of its own, filled through a worker."""

    def __init__(self, servers, name, options):
        self.servers, self.build = servers, pathlib.Path(options.build)
        servers.sql(f"CREATE DATABASE {name}")
        self.dsn = servers.dsn.replace("dbname=tallymill", f"dbname={name}")
        self.settings = servers.state / f"{name}.ini"
        self.settings.write_text(servers.settings.read_text().replace(servers.dsn, self.dsn)
                                 + f"\n[topics]\nevents = {name}\npartitions = 4\n[consumer]\ngroup = {name}\n[window]\noldest = 1970-01-01\n"
                                   f"[rollups]\ndir = {ROOT / 'schemas/rollups'}\n[log]\nlevel = warn\n")
        self.run("tallymill", "migrate", command=True)

    def run(self, program, *words, command=False):
        line = [self.build / "bin" / program, *([words[0]] if command else []), "--config", self.settings, *(words[1:] if command else words)]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout

    def sql(self, statement):
        connection = psycopg2.connect(self.dsn, options="-c TimeZone=UTC -c max_parallel_workers_per_gather=0 -c jit=off")
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def fill(self, *words):
        """Events through Kafka and a worker. Every row is stored when this returns, and none is in the statistics."""
        self.run("tallymill-produce", *words)
        self.run("tallymill-consumer", "--until-end")
        self.sql("VACUUM (ANALYZE) analytics_events")
        self.sql("CHECKPOINT")

    def is_done(self):
        status = json.loads(self.run("tallymill", "status", "--json", command=True))
        return status["statistics"]["pending_batches"] == 0 and status["statistics"]["dirty_days"] == 0 and status["rollups"]["waiting"] == 0

    def compute(self):
        """Everything that waits: (seconds, CPU seconds of aggregator and server)."""
        say("computing the statistics and the rollups")
        before, began = self.cpu(), time.monotonic()
        self.run("tallymill-aggregator", "--once")
        took = time.monotonic() - began
        cost = self.cpu() - before
        if not self.is_done():
            raise RuntimeError("the aggregator has ended, and status shows that something waits")
        return took, cost

    def cpu(self):
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        return family_cpu_seconds(self.servers.postmaster) + ours.ru_utime + ours.ru_stime

    def plain_cpu(self):
        """CPU seconds of the server for the same figures by one query each over all days."""
        self.sql(PLAIN)
        queries = [("stats", STATISTICS), *self.sql("SELECT rollup, query FROM tallymill.rollups ORDER BY 1")]
        before = family_cpu_seconds(self.servers.postmaster)
        for name, query in queries:
            query = re.sub(r"tallymill\.(range_events|range_days|settled_events)", r"plain.\1", query).replace("tallymill.asked_to('range')", "'infinity'")
            self.sql(f"CREATE TABLE plain.{name} AS {query}")
        return family_cpu_seconds(self.servers.postmaster) - before


def sparse(servers, options):
    place = Place(servers, "sparse", options)
    say(f"storing {options.sparse:,} events on random days of {options.sparse_days:,}")
    place.fill("--sparse", str(options.sparse), "--days", str(options.sparse_days), "--seed", "1")
    days, months = place.sql("SELECT count(DISTINCT date(created_at)), count(DISTINCT date_trunc('month', created_at)) FROM analytics_events")[0]
    took, cost = place.compute()
    began = time.monotonic()
    place.run("tallymill", "verify", command=True)
    return {"events": options.sparse, "days": days, "months": months, "seconds": round(took, 1), "cpu_seconds": round(cost, 1),
            "verify_seconds": round(time.monotonic() - began, 1), "periods": place.sql("SELECT count(*) FROM tallymill.rollup_runs")[0][0]}


def dense(servers, options):
    place = Place(servers, "dense", options)
    say(f"storing {options.dense:,} events over {options.dense_days:,} days")
    place.fill("--generate", str(options.dense), "--days", str(options.dense_days), "--seed", "1")
    took, cost = place.compute()
    plain = place.plain_cpu()
    return {"events": options.dense, "days": options.dense_days, "seconds": round(took, 1), "cpu_seconds": round(cost, 1), "plain_cpu_seconds": round(plain, 1)}


def one_day(servers, options):
    """The same days in two histories, in turn: four days of four weeks, as a share of them, and one of them by itself, which pays for a new session's first look at each month."""
    last = datetime.date.today() - datetime.timedelta(days=2)
    days = [last - datetime.timedelta(weeks=weeks) for weeks in range(REBUILT_DAYS)]
    places = {}
    for months in (FEW_MONTHS, MONTHS):
        place = places[months] = Place(servers, f"months_{months}", options)
        place.sql(f"SELECT count(tallymill.make_month((date_trunc('month', current_date) - n * interval '1 month')::date)) FROM generate_series(0, {months - 1}) n")
        for day in days:
            place.fill("--generate", str(options.day), "--days", "1", "--until", f"{day + datetime.timedelta(days=1)}T00:00:00Z", "--seed", "1")
        place.compute()
    costs = {(months, count): [] for months in places for count in (1, REBUILT_DAYS)}
    for _ in range(options.turns):
        for (months, count), taken in costs.items():
            asked = ", ".join(f"'{day}'" for day in days[:count])
            places[months].sql(f"UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day IN ({asked})")
            taken.append(places[months].compute()[1] / count)
    medians = {of: statistics.median(taken) for of, taken in costs.items()}
    few, many = medians[FEW_MONTHS, REBUILT_DAYS], medians[MONTHS, REBUILT_DAYS]
    alone = medians[MONTHS, 1] / medians[FEW_MONTHS, 1]
    return {"events": options.day, f"cpu_seconds_{FEW_MONTHS}": round(few, 3), f"cpu_seconds_{MONTHS}": round(many, 3), "ratio": round(many / few, 3), "ratio_alone": round(alone, 3)}


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run backfill", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", choices=("sparse", "dense", "day"), help="one of the three")
    parser.add_argument("--sparse", type=int, default=82_000)
    parser.add_argument("--sparse-days", type=int, default=7_820)
    parser.add_argument("--dense", type=int, default=5_000_000)
    parser.add_argument("--dense-days", type=int, default=1_000)
    parser.add_argument("--day", type=int, default=20_000, help="events of each day that is rebuilt")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--build", default=str(ROOT / "build"))
    return parser.parse_args(words)


def run(words):
    options = arguments(words)
    figures = {"bench": "backfill", "ratios": {}}
    with stack() as servers:
        servers.tune(["autovacuum=off"])    # its CPU is nobody's here
        for name, part in (("sparse", sparse), ("dense", dense), ("day", one_day)):
            if options.only in (None, name):
                figures[name] = part(servers, options)
                say(f"{name}: {figures[name]}")
    if "dense" in figures:
        figures["ratios"]["P23 dense"] = round(figures["dense"]["cpu_seconds"] / figures["dense"]["plain_cpu_seconds"], 2)
    if "day" in figures:
        figures["ratios"]["P23 day"], figures["ratios"]["a day alone"] = figures["day"]["ratio"], figures["day"]["ratio_alone"]
    if "sparse" in figures:
        figures["ratios"]["P23 sparse"] = figures["sparse"]["seconds"]
    figures["ratio"] = next(iter(figures["ratios"].values()))
    say("\nbackfill\n" + "".join(f"  {goal:12} {value}{' s' if goal.endswith('sparse') else ''}\n" for goal, value in figures["ratios"].items()))
    return figures
