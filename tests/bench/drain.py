"""drain: committed rows/s of the worker over psql's binary \\copy of the same rows into the same indexed table.

A topic is loaded once and the producers are off. Then, in turn (A B A B ...), one psql session copies the rows from a file, and
the worker drains the topic; before each the tables are emptied and a CHECKPOINT made, after each the contents are compared by a hash over
all columns that does not depend on order. Rates: the copy's by the wall clock of psql; the worker's by the
committed_at of its ledger, from its first commit (whose rows do not count) to its last. Same server, same settings (fsync, full_page_writes and
synchronous_commit on), same table with its primary key and indexes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from processes import cpu_seconds, family_cpu_seconds
from servers import ROOT, stack

COLUMNS = "id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at"
EMPTY = """TRUNCATE analytics_events, tallymill.batches, tallymill.gaps, tallymill.owners, tallymill.dead_letters, tallymill.folded"""
HASH = f"SELECT count(*), coalesce(sum(hashtextextended(concat_ws('|', {COLUMNS}), 0)::numeric), 0) FROM analytics_events"
# The first batch starts the clock; workers of one run share it.
RATE = """SELECT sum(stored) FILTER (WHERE committed_at > first) / extract(epoch FROM max(committed_at) - min(first))
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
    started = time.monotonic()
    command = ["psql", "-qX", servers.dsn, "-c", f"\\copy analytics_events ({COLUMNS}, batch_id) FROM '{path}' WITH (FORMAT binary)"]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("psql could not copy the file")
    return rows / (time.monotonic() - started), usage.ru_utime + usage.ru_stime


def drain(servers, workers, deadline):
    processes = [servers.program("tallymill-consumer", "--until-end", "--set", "log.level=warn") for _ in range(workers)]
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
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args(words)


def load(servers, rows):
    """Fills the topic, drains it once to warm up, and writes the rows to the file that psql will copy."""
    subprocess.run([ROOT / "build/bin/tallymill", "migrate", "--config", servers.settings], check=True, stdout=subprocess.DEVNULL)
    produce = servers.program("tallymill-produce", "--generate", str(rows), "--seed", "1", "--days", "1")
    if produce.wait(timeout=600):
        raise RuntimeError("tallymill-produce failed")
    drain(servers, 1, 600)
    path = servers.state / "rows.bin"
    with open(path, "wb") as file:
        subprocess.run(["psql", "-qX", servers.dsn, "-c", f"COPY (SELECT {COLUMNS}, batch_id FROM analytics_events ORDER BY batch_id, ctid) TO STDOUT WITH (FORMAT binary)"],
                       check=True, stdout=file)
    return path


def median_us(runs, key, rows):
    return round(statistics.median(run[key] for run in runs) / rows * 1e6, 3)


def report(rows, workers, copies, drains):
    ratios = sorted(ours["rate"] / plain["rate"] for plain, ours in zip(copies, drains))
    goal = "P1" if workers == 1 else "P2"
    figures = {
        "bench": "drain", "ratio": round(statistics.median(ratios), 3), "ratios": {goal: round(statistics.median(ratios), 3)},
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)], "rows": rows, "workers": workers, "pairs": len(ratios),
        "copy_rows_per_s": round(statistics.median(run["rate"] for run in copies)),
        "worker_rows_per_s": round(statistics.median(run["rate"] for run in drains)),
        "cpu_us_per_row": {
            "psql": median_us(copies, "client_cpu", rows), "postgres_of_copy": median_us(copies, "postgres_cpu", rows),
            "worker": median_us(drains, "client_cpu", rows), "postgres_of_worker": median_us(drains, "postgres_cpu", rows),
            "broker": median_us(drains, "broker_cpu", rows)},
        "contents_equal": len({(run["rows"], run["hash"]) for run in copies + drains}) == 1,
    }
    figures["ratios"]["P5"] = round(figures["cpu_us_per_row"]["worker"] / figures["cpu_us_per_row"]["postgres_of_worker"], 3)
    cpu = figures["cpu_us_per_row"]
    print(f"""
drain: {rows:,} rows, {workers} worker(s), {len(ratios)} pairs, contents {'equal' if figures['contents_equal'] else 'DIFFER'}
  psql \\copy   {figures['copy_rows_per_s']:>9,} rows/s   CPU us/row: psql {cpu['psql']}, Postgres {cpu['postgres_of_copy']}
  worker       {figures['worker_rows_per_s']:>9,} rows/s   CPU us/row: worker {cpu['worker']}, Postgres {cpu['postgres_of_worker']}, broker {cpu['broker']}
  ratio {goal}     {figures['ratio']} (from {figures['ratio_range'][0]} to {figures['ratio_range'][1]})""", file=sys.stderr)
    return figures if figures["contents_equal"] else None


def run(words):
    options = arguments(words)
    with stack() as servers:
        path = load(servers, options.rows)
        copies, drains = [], []
        for _ in range(options.pairs):
            copies.append(measure(servers, lambda: copy_file(servers, path, options.rows)))
            drains.append(measure(servers, lambda: drain(servers, options.workers, 600)))
        return report(options.rows, options.workers, copies, drains)
