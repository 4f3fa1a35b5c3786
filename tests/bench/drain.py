"""drain: committed rows/s of the worker over psql's binary \\copy of the same rows into the same indexed table.

A topic is loaded once and the producers are off. Then, in turn (A B A B ...), one psql session copies the rows from a file, and
the worker drains the topic; before each the tables are emptied and a CHECKPOINT made, after each the contents are compared by a hash over
all columns that does not depend on order. Rates: the copy's by the wall clock of psql; the worker's by the
committed_at of its ledger, from its first commit (whose rows do not count) to its last. Same server, same settings (fsync, full_page_writes and
synchronous_commit on), same table with its primary key and indexes.

With several workers (P2) as many psql sessions side by side, each with its share of the rows, have a turn too: what server and machine allow
at most, and that without Kafka at work.

The library makes UUIDv7 ids, which an index takes in at its end. The same rows with UUIDv4 ids, which hit it anywhere, have a line of their own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import topic
from processes import cpu_seconds, family_cpu_seconds
from servers import stack
from topic import COLUMNS, EVENTS

EMPTY = """TRUNCATE analytics_events, tallymill.batches, tallymill.gaps, tallymill.owners, tallymill.dead_letters, tallymill.folded,
    tallymill.deltas"""
HASH = f"SELECT count(*), coalesce(sum(hashtextextended(concat_ws('|', {COLUMNS}), 0)::numeric), 0) FROM analytics_events"
# The first batch starts the clock; workers of one run share it. A duplicate was worked on like a row.
RATE = """SELECT sum(stored + duplicates + dead_letters) FILTER (WHERE committed_at > first) / extract(epoch FROM max(committed_at) - min(first))
          FROM tallymill.batches, (SELECT min(committed_at) AS first FROM tallymill.batches) AS f"""


def empty(servers):
    servers.sql(EMPTY)
    servers.sql("VACUUM analytics_events")
    servers.sql("CHECKPOINT")


def measure(servers, run):
    """Runs it from empty tables; its figures with the CPU seconds of everybody."""
    empty(servers)
    postgres, broker = family_cpu_seconds(servers.postmaster), cpu_seconds(servers.broker)
    rate, client = run()
    figures = {"rate": rate, "client_cpu": client, "postgres_cpu": family_cpu_seconds(servers.postmaster) - postgres,
               "broker_cpu": cpu_seconds(servers.broker) - broker}
    figures["rows"], figures["hash"] = servers.sql(HASH, fetch=True)[0]
    figures["hash"] = str(figures["hash"])
    return figures


def copy_file(servers, path, rows):
    return copy_files(servers, [path], rows)


def copy_files(servers, paths, rows):
    """(rows/s, CPU seconds of psql) while a psql session for each file copies it, all at once; `rows` are those of all files."""
    started, cpu = time.monotonic(), 0.0
    copy = f"\\copy analytics_events ({COLUMNS}, batch_id) FROM '%s' WITH (FORMAT binary)"
    processes = [subprocess.Popen(["psql", "-qX", servers.dsn, "-c", copy % path]) for path in paths]
    for process in processes:
        _, process.returncode, usage = os.wait4(process.pid, 0)
        cpu += usage.ru_utime + usage.ru_stime
    if any(process.returncode for process in processes):
        raise RuntimeError("psql could not copy the file")
    return rows / (time.monotonic() - started), cpu


def drain(servers, workers, deadline, name=EVENTS, settings=()):
    """(rows/s, CPU seconds of the workers) while they drain the topic of that name."""
    processes = [servers.program("tallymill-consumer", "--until-end", *topic.words(name), *settings) for _ in range(workers)]
    cpu, limit = 0.0, time.monotonic() + deadline
    for process in processes:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > limit:
                for late in processes:
                    late.kill()
                raise RuntimeError(f"the worker did not drain the topic within {deadline} s")
            time.sleep(0.05)
        if status:
            raise RuntimeError("the worker failed")
        cpu += usage.ru_utime + usage.ru_stime
    return float(servers.sql(RATE, fetch=True)[0][0]), cpu


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run drain", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="the more, the less the start of a process weighs in its CPU a row")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ids", choices=("v7", "v4", "both"), default="both", help="UUIDs of the events (both: a line each)")
    parser.add_argument("--server", nargs="*", default=[], metavar="NAME=VALUE", help="settings of Postgres, beside the stack's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the worker, for a try")
    return parser.parse_args(words)


def dump(servers, name):
    """The file that psql will copy: the rows of the topic, drained once to warm up."""
    empty(servers)
    drain(servers, 1, 600, name)
    return dump_share(servers, name, 0, 1)


def dump_share(servers, name, share, shares):
    """A file of each so-manieth row in the order they came: shares of equal size that advance in time together, as workers do."""
    path = servers.state / f"{name}-{share}-of-{shares}.bin"
    rows = f"SELECT {COLUMNS}, batch_id, row_number() OVER (ORDER BY batch_id, ctid) AS n FROM analytics_events"
    query = f"SELECT {COLUMNS}, batch_id FROM ({rows}) r WHERE n % {shares} = {share} ORDER BY n"
    with open(path, "wb") as file:
        subprocess.run(["psql", "-qX", servers.dsn, "-c", f"COPY ({query}) TO STDOUT WITH (FORMAT binary)"], check=True, stdout=file)
    return path


def load(servers, rows, kinds, shares):
    """Kind of ids to (topic, file of its rows, files of its shares): the generator's events, and the same with other ids."""
    topic.generate(servers, rows)
    loaded = {"v7": load_files(servers, EVENTS, shares)}
    if "v4" in kinds:
        topic.send(servers, topic.UUID_V4, "events-v4")
        loaded["v4"] = load_files(servers, "events-v4", shares)
    return {kind: loaded[kind] for kind in kinds}


def load_files(servers, name, shares):
    whole = dump(servers, name)
    return name, whole, [dump_share(servers, name, share, shares) for share in range(shares)] if shares > 1 else []


def median_us(runs, key, rows):
    return round(statistics.median(run[key] for run in runs) / rows * 1e6, 3)


def median_rate(runs):
    return round(statistics.median(run["rate"] for run in runs))


def compare(rows, copies, drains, side_by_side):
    """The figures of one kind of ids."""
    ratios = sorted(ours["rate"] / plain["rate"] for plain, ours in zip(copies, drains))
    cpu = {"psql": median_us(copies, "client_cpu", rows), "postgres_of_copy": median_us(copies, "postgres_cpu", rows),
           "worker": median_us(drains, "client_cpu", rows), "postgres_of_worker": median_us(drains, "postgres_cpu", rows),
           "broker": median_us(drains, "broker_cpu", rows)}
    found = {"ratio": round(statistics.median(ratios), 3), "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
             "copy_rows_per_s": median_rate(copies), "worker_rows_per_s": median_rate(drains),
             "cpu_us_per_row": cpu, "worker_cpu_per_postgres_cpu": round(cpu["worker"] / cpu["postgres_of_worker"], 3),
             "rows_per_commit": round(statistics.median(run["per_commit"] for run in drains)),
             "contents_equal": len({(run["rows"], run["hash"]) for run in copies + drains + side_by_side}) == 1}
    if side_by_side:
        cpu["postgres_of_side_by_side"] = median_us(side_by_side, "postgres_cpu", rows)
        found["side_by_side_rows_per_s"] = median_rate(side_by_side)
        found["ceiling"] = round(statistics.median(both["rate"] / plain["rate"] for plain, both in zip(copies, side_by_side)), 3)
    return found


def report(options, kinds, server):
    goal, first = "P1" if options.workers == 1 else "P2", next(iter(kinds))
    are_equal = all(kind["contents_equal"] for kind in kinds.values())
    figures = {"bench": "drain", **kinds[first], "rows": options.rows, "workers": options.workers, "pairs": options.pairs, "ids": first, "server": server,
               "ratios": {goal: kinds[first]["ratio"], "P5": kinds[first]["worker_cpu_per_postgres_cpu"]}, "contents_equal": are_equal}
    for kind in list(kinds)[1:]:
        figures[kind] = kinds[kind]
        figures["ratios"][f"{goal} {kind}"] = kinds[kind]["ratio"]
    print(f"\ndrain: {options.rows:,} rows, {options.workers} worker(s), {options.pairs} pairs, contents {'equal' if are_equal else 'DIFFER'}\n  {server}", file=sys.stderr)
    for kind, found in kinds.items():
        cpu, ceiling = found["cpu_us_per_row"], ""
        if "ceiling" in found:
            ceiling = f"""
    side by side {found['side_by_side_rows_per_s']:>9,} rows/s   {options.workers} sessions of psql; CPU us/row: Postgres {cpu['postgres_of_side_by_side']}; ceiling of {goal} {found['ceiling']}"""
        print(f"""  UUID{kind}
    psql \\copy   {found['copy_rows_per_s']:>9,} rows/s   CPU us/row: psql {cpu['psql']}, Postgres {cpu['postgres_of_copy']}{ceiling}
    worker       {found['worker_rows_per_s']:>9,} rows/s   CPU us/row: worker {cpu['worker']}, Postgres {cpu['postgres_of_worker']}, broker {cpu['broker']}; {found['rows_per_commit']:,} rows a commit
    ratio {goal}     {found['ratio']} (from {found['ratio_range'][0]} to {found['ratio_range'][1]}), P5 {found['worker_cpu_per_postgres_cpu']}""", file=sys.stderr)
    return figures if are_equal else None


def run(words):
    options = arguments(words)
    settings = [word for setting in options.set for word in ("--set", setting)]
    with stack() as servers:
        if options.server:
            servers.tune(options.server)
        loaded = load(servers, options.rows, ("v7", "v4") if options.ids == "both" else (options.ids,), options.workers)
        runs = {kind: ([], [], []) for kind in loaded}
        for _ in range(options.pairs):
            for kind, (name, whole, shares) in loaded.items():
                copies, drains, side_by_side = runs[kind]
                copies.append(measure(servers, lambda whole=whole: copy_file(servers, whole, options.rows)))
                drains.append(measure(servers, lambda name=name: drain(servers, options.workers, 600, name, settings)))
                drains[-1]["per_commit"] = options.rows / servers.sql("SELECT count(DISTINCT batch_id) FROM tallymill.batches", fetch=True)[0][0]
                if shares:
                    side_by_side.append(measure(servers, lambda shares=shares: copy_files(servers, shares, options.rows)))
        return report(options, {kind: compare(options.rows, *turns) for kind, turns in runs.items()}, servers.told())
