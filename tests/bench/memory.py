"""memory (P11): the most memory a worker holds (VmHWM) while it drains a backlog far larger than memory.max, with 16 topic partitions.

The rate is printed beside it, from the ledger: a small peak that is bought with speed is none.
"""

import argparse
import os
import subprocess
import sys
import time

from drain import RATE
from servers import ROOT, stack


def drain(servers, build, deadline):
    """(peak in KiB, CPU seconds) of one worker until the end."""
    worker = servers.program("tallymill-consumer", "--until-end", "--set", "log.level=warn", build=build)
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
        raise RuntimeError("the worker failed")
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def run(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--build", default="build", help="build directory of the checkout")
    options = parser.parse_args(words)
    with stack() as servers:
        subprocess.run([ROOT / options.build / "bin/tallymill", "migrate", "--config", servers.settings, "--set", f"topics.partitions={options.partitions}"],
                       check=True, stdout=subprocess.DEVNULL)
        produce = servers.program("tallymill-produce", "--generate", str(options.rows), "--seed", "1", "--days", "1", build=options.build)
        if produce.wait(timeout=3600):
            return None
        peak_kib, cpu = drain(servers, options.build, 3600)
        rate = float(servers.sql(RATE, fetch=True)[0][0])
    peak = round(peak_kib / 1024, 1)
    figures = {"bench": "memory", "ratio": peak, "ratios": {"P11": peak}, "peak_mib": peak, "rows": options.rows, "partitions": options.partitions,
               "rows_per_s": round(rate), "worker_cpu_us_per_row": round(cpu / options.rows * 1e6, 3)}
    print(f"""
memory: {options.rows:,} rows in {options.partitions} topic partitions, memory.max as it stands (64 MiB)
  peak {peak} MiB resident (64 wanted, 48 hoped for), at {figures['rows_per_s']:,} rows/s, {figures['worker_cpu_us_per_row']} us of CPU a row""", file=sys.stderr)
    return figures
