"""publish-latency: how long one call of tally_publish takes, at a fixed rate in an open loop, beside bare rd_kafka_produce.

The caller spins until an event's intended time, builds the event before it, and measures the call alone; what passed from the intended time on is given
too (an event that is late is sent at once, and its lateness counts). Another process keeps one core busy meanwhile. The two take turns.
Allocations in the caller's thread are counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import topic
from publish import DRIVER, DRIVERS  # DRIVERS: run builds them
from servers import stack

BURN = "while True: pass"
GOALS_US = {"p50": 0.15, "p99": 1.0, "p999": 50.0}  # P8


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run publish-latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    return parser.parse_args(words)


def drive(who, servers, options):
    with topic.scratch(servers, "publish-bench") as name:
        command = [DRIVER, who, "latency", servers.bootstrap, name, str(options.rate * options.seconds), str(options.rate), "lz4"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=options.seconds + 300).stdout)


def median_of(runs, key):
    return {name: round(statistics.median(run[key][name] for run in runs), 3) for name in ("p50", "p99", "p999", "max")}


def run(words):
    options = arguments(words)
    with stack() as servers:
        burner = subprocess.Popen([sys.executable, "-c", BURN], preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
        try:
            ours, bare = [], []
            for _ in range(options.pairs):
                ours.append(drive("ours", servers, options))
                bare.append(drive("bare", servers, options))
        finally:
            burner.kill()
            burner.wait()
    figures = {"bench": "publish-latency", "rate": options.rate, "seconds": options.seconds, "pairs": options.pairs,
               "allocations_per_event": max(one["allocations_per_event"] for one in ours), "timer_us": ours[0]["timer_us"],
               "goals_us": GOALS_US}
    for name, runs in (("ours", ours), ("bare", bare)):
        figures[name] = {"call_us": median_of(runs, "call_us"), "from_intended_us": median_of(runs, "from_intended_us")}
    # A goal reached is 1 or more: goal over measured, the worst of the three.
    figures["ratio"] = round(min(goal / max(figures["ours"]["call_us"][name], 0.001) for name, goal in GOALS_US.items()), 3)
    figures["ratios"] = {"P8": figures["ratio"]}
    print(f"\npublish-latency: {options.rate:,}/s for {options.seconds} s, median of {options.pairs} runs, us (the timer's own {figures['timer_us']} included)\n"
          f"  {'':<28}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>11}", file=sys.stderr)
    for name in ("ours", "bare"):
        for key, label in (("call_us", "the call"), ("from_intended_us", "from the intended time")):
            row = figures[name][key]
            print(f"  {name + ', ' + label:<28}{row['p50']:>9}{row['p99']:>9}{row['p999']:>9}{row['max']:>11}", file=sys.stderr)
    print(f"  allocations an event in the caller's thread: {figures['allocations_per_event']}", file=sys.stderr)
    return figures
