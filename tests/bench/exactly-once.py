"""exactly-once: what the fence and the ledger cost.

First a drain gives the CPU that the server spends on a row, all included. Then one session runs many short transactions, in turn with
`commit_batch` for eight topic partitions and without it, and the CPU of its server process tells what one call costs. The ratio is CPU per row without over with,
at the drain's own rows per batch and topic partitions per batch.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys

import psycopg2

import drain
from processes import cpu_seconds, family_cpu_seconds
from servers import ROOT, stack

COMMIT = """SELECT tallymill.commit_batch(%(batch)s, 'bench', %(numbers)s, %(epochs)s::bigint[], %(first)s::bigint[], %(next)s::bigint[], %(ones)s::bigint[],
            %(zeros)s::bigint[], %(zeros)s::bigint[], %(zeros)s::bigint[], %(days)s, %(first)s::bigint[], %(hashes)s::bytea[])"""


def fence_us(servers, partitions, calls, rounds):
    """CPU microseconds of one commit_batch for that many topic partitions: with, less without, in turn."""
    numbers = list(range(partitions))
    with contextlib.closing(psycopg2.connect(servers.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT epoch FROM tallymill.claim('bench', 'bench', 'bench', 'bench', %s)", (numbers,))
        epochs = [epoch for epoch, in cursor.fetchall()]
        connection.commit()
        pid, offset, costs = connection.info.backend_pid, 0, []
        for _ in range(rounds):
            spent = []
            for is_fenced in (False, True):
                before = cpu_seconds(pid)
                for _ in range(calls):
                    cursor.execute("SELECT nextval('tallymill.batch_ids')")
                    if is_fenced:
                        cursor.execute(COMMIT, {
                            "batch": cursor.fetchone()[0], "numbers": numbers, "epochs": epochs, "first": [offset] * partitions,
                            "next": [offset + 1] * partitions, "ones": [1] * partitions, "zeros": [0] * partitions,
                            "days": ["{2026-01-15}"] * partitions, "hashes": ["\\x" + "00" * 16] * partitions})
                        offset += 1
                    connection.commit()
                spent.append(cpu_seconds(pid) - before)
            costs.append((spent[1] - spent[0]) / calls * 1e6)
        return statistics.median(costs)


def run(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run exactly-once", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(words)
    with stack() as servers:
        subprocess.run([ROOT / "build/bin/tallymill", "migrate", "--config", servers.settings], check=True, stdout=subprocess.DEVNULL)
        produce = servers.program("tallymill-produce", "--generate", str(options.rows), "--seed", "1", "--days", "1")
        if produce.wait(timeout=600):
            return None
        before = family_cpu_seconds(servers.postmaster)
        drain.drain(servers, 1, 600)
        row_us = (family_cpu_seconds(servers.postmaster) - before) / options.rows * 1e6
        batches, ranges = servers.sql("SELECT count(DISTINCT batch_id), count(*) FROM tallymill.batches", fetch=True)[0]
        partitions, rows_per_batch = max(1, round(ranges / batches)), options.rows / batches
        call_us = fence_us(servers, partitions, options.calls, options.rounds)
    ratio = (row_us - call_us / rows_per_batch) / row_us
    figures = {"bench": "exactly-once", "ratio": round(ratio, 4), "ratios": {"P14": round(ratio, 4)}, "fence_us_per_commit": round(call_us, 1),
               "topic_partitions": partitions, "rows_per_batch": round(rows_per_batch), "postgres_us_per_row": round(row_us, 2)}
    print(f"\nexactly-once: the fence costs {call_us:.0f} us a commit of {rows_per_batch:,.0f} rows over {partitions} topic partitions; "
          f"a row costs the server {row_us:.2f} us\n  ratio P14 {ratio:.4f} (CPU per row without offsets in the transaction / with)", file=sys.stderr)
    return figures
