"""memory (P11): the most memory a worker holds (VmHWM) while it drains a backlog far larger than memory.max, with 16 topic partitions.

The rate is printed beside it, from the ledger: a small peak that is bought with speed is none. With --cgroup the worker lives in a memory cgroup of that size
(as root, version 1 or 2, without swap): the most that was charged to it, page cache included, and whether the kernel killed it.
`--backlog 20000000 --cgroup 256MiB` is the promise's own size: it takes about ten minutes and 20 GB of disk.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import time

import topic
from cgroup import memory_cgroup
from drain import RATE
from servers import ROOT, stack

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    found = re.fullmatch(r"(\d+) ?(KiB|MiB|GiB)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 256MiB")
    return int(found[1]) * UNITS[found[2]]


def drain(servers, build, group, deadline):
    """(peak in KiB, CPU seconds) of one worker until the end."""
    worker = subprocess.Popen([ROOT / build / "bin/tallymill-consumer", "--config", servers.settings, "--until-end", "--set", "log.level=warn"],
                              preexec_fn=group.join if group else None)
    limit = time.monotonic() + deadline
    while True:
        pid, status, usage = os.wait4(worker.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > limit:
            worker.kill()
            raise RuntimeError(f"the worker did not drain the topic within {deadline} s")
        time.sleep(0.05)
    if status:
        raise RuntimeError(f"the worker ended with {os.waitstatus_to_exitcode(status)}" + (f"; OOM kills: {group.oom_kills()}" if group else ""))
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run memory", description=__doc__)
    parser.add_argument("--rows", "--backlog", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--batch", type=int, help="events at most in one of Kafka's batches, as in a topic that was filled over time")
    parser.add_argument("--cgroup", type=size, metavar="SIZE", help="let the worker live in a memory cgroup of so many KiB, MiB or GiB")
    parser.add_argument("--build", default="build", help="build directory of the checkout")
    return parser.parse_args(words)


def run(words):
    options = arguments(words)
    with stack() as servers, (memory_cgroup(options.cgroup) if options.cgroup else contextlib.nullcontext()) as group:
        topic.generate(servers, options.rows, partitions=options.partitions, batch=options.batch)
        peak_kib, cpu = drain(servers, options.build, group, 7200)
        rate = float(servers.sql(RATE, fetch=True)[0][0])
        stored = servers.sql("SELECT sum(stored)::bigint FROM tallymill.batches", fetch=True)[0][0]
        charged, kills = (group.peak_bytes(), group.oom_kills()) if group else (None, None)
    if stored != options.rows:
        raise RuntimeError(f"{stored:,} of {options.rows:,} rows are stored")
    peak = round(peak_kib / 1024, 1)
    figures = {"bench": "memory", "ratio": peak, "ratios": {"P11": peak}, "peak_mib": peak, "rows": options.rows, "partitions": options.partitions, "batch": options.batch,
               "rows_per_s": round(rate), "worker_cpu_us_per_row": round(cpu / options.rows * 1e6, 3)}
    print(f"""
memory: {options.rows:,} rows in {options.partitions} topic partitions, memory.max as it stands (64 MiB)
  peak {peak} MiB resident (64 wanted, 48 hoped for), at {figures['rows_per_s']:,} rows/s, {figures['worker_cpu_us_per_row']} us of CPU a row""", file=sys.stderr)
    if group:
        figures["cgroup"] = {"version": group.version, "limit_mib": options.cgroup >> 20, "charged_mib": charged and round(charged / (1 << 20), 1), "oom_kills": kills}
        print(f"  in a memory cgroup (version {group.version}) of {options.cgroup >> 20} MiB: {figures['cgroup']['charged_mib']} MiB charged at most, killed {kills} times", file=sys.stderr)
    return figures
