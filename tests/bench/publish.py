"""publish: events/s of the library, encoding included, over what librdkafka does with messages of the same size and the same settings.

Rates in turn (A B C D A B ...), until everything is acknowledged (acks=all, idempotent, linger 5 ms, one topic of 8 topic partitions):
the library, which builds each event anew with typed calls; rdkafka_performance, built from the example that the package librdkafka-dev
installs; and bare rd_kafka_produce of the library's own bytes, encoded beforehand. rdkafka_performance sends one message over and over, which compresses to
nothing, so it is compared without compression, and it has no key: each message gets a topic partition of its own, as sessions do, rather than one for 10 ms
(sticky.partitioning.linger.ms=0). The same bytes are compared with lz4, as the library is shipped.

Each run has a topic of its own, which is deleted, files and all, before the next begins: with one topic the kernel writes back what the runs before
left, and after two gigabytes everybody's rate is the disk's.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys

import topic
from servers import ROOT, stack

EXAMPLE = pathlib.Path("/usr/share/doc/librdkafka-dev/examples/rdkafka_performance.c")
DRIVER = ROOT / "build/bin/publish-driver"
DRIVERS = (DRIVER.name,)    # what run builds beside the programs


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run publish", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 4])
    return parser.parse_args(words)


def drive(who, servers, events, threads, codec):
    with topic.scratch(servers, "publish-bench") as name:
        command = [DRIVER, who, "rate", servers.bootstrap, name, str(events), str(threads), codec]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=900).stdout)


def build_performance(folder):
    """rdkafka_performance with stand-ins for librdkafka's private headers; None where the package's documents are left out."""
    if not EXAMPLE.exists():
        return None
    examples = folder / "examples"
    examples.mkdir()
    (folder / "src").symlink_to(ROOT / "tests/bench/shim/src")
    (examples / EXAMPLE.name).write_text(EXAMPLE.read_text())
    program = folder / "rdkafka_performance"
    subprocess.run(["cc", "-O2", "-w", f"-I{folder / 'src'}", "-I/usr/include/librdkafka", examples / EXAMPLE.name, "-o", program, "-lrdkafka", "-lpthread"],
                   check=True)
    return program


def performance(program, servers, events, size):
    settings = ["enable.idempotence=true", "acks=all", "linger.ms=5", "compression.codec=none", "queue.buffering.max.messages=100000",
                "queue.buffering.max.kbytes=65536", "message.max.bytes=4194304", "sticky.partitioning.linger.ms=0"]
    with topic.scratch(servers, "publish-bench") as name:
        command = [program, "-P", "-t", name, "-b", servers.bootstrap, "-s", str(size), "-c", str(events), "-D", "-q"]
        for setting in settings:
            command += ["-X", setting]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    return float(re.search(r"in \d+ms: (\d+) msgs/s", done.stdout).group(1))


def measure(servers, options, threads, program, size):
    """Rates in turn: the library and its counterpart, uncompressed and with lz4."""
    rates = {"ours_none": [], "performance_none": [], "ours_lz4": [], "bare_lz4": []}
    runs = []
    for _ in range(options.pairs):
        ours = drive("ours", servers, options.events, threads, "none")
        rates["ours_none"].append(ours["rate"])
        if program:
            rates["performance_none"].append(performance(program, servers, options.events, size["value"] + size["key"]))
        else:
            rates["performance_none"].append(drive("bare", servers, options.events, threads, "none")["rate"])
        runs.append(drive("ours", servers, options.events, threads, "lz4"))
        rates["ours_lz4"].append(runs[-1]["rate"])
        rates["bare_lz4"].append(drive("bare", servers, options.events, threads, "lz4")["rate"])
    none = sorted(a / b for a, b in zip(rates["ours_none"], rates["performance_none"]))
    lz4 = sorted(a / b for a, b in zip(rates["ours_lz4"], rates["bare_lz4"]))
    return {
        "threads": threads, "ratio": round(statistics.median(none), 3), "ratio_range": [round(none[0], 3), round(none[-1], 3)],
        "ratio_same_bytes_lz4": round(statistics.median(lz4), 3), "ratio_same_bytes_lz4_range": [round(lz4[0], 3), round(lz4[-1], 3)],
        "allocations_per_event": max(run["allocations_per_event"] for run in runs),
        "cpu_us_per_event": round(statistics.median(run["cpu_s"] for run in runs) / options.events * 1e6, 3),
        **{f"{name}_per_s": round(statistics.median(values)) for name, values in rates.items()},
    }


def run(words):
    options = arguments(words)
    with stack() as servers:
        folder = servers.state.parent / "rdkafka_performance"
        folder.mkdir()
        program = build_performance(folder)
        size = json.loads(subprocess.run([DRIVER, "ours", "size"], check=True, stdout=subprocess.PIPE).stdout)
        drive("ours", servers, options.events // 4, 1, "lz4")  # the broker's code is compiled before anything counts
        results = [measure(servers, options, threads, program, size) for threads in options.threads]
    against = "rdkafka_performance" if program else "bare rd_kafka_produce (rdkafka_performance.c is not installed)"
    print(f"\npublish: {options.events:,} events of {size['value']} + {size['key']} bytes, {options.pairs} rounds, counterpart {against}", file=sys.stderr)
    for result in results:
        print(f"""  {result['threads']} thread(s)
    uncompressed: ours {result['ours_none_per_s']:>9,}/s   counterpart {result['performance_none_per_s']:>9,}/s   ratio {result['ratio']} ({result['ratio_range'][0]} to {result['ratio_range'][1]})
    same bytes, lz4: ours {result['ours_lz4_per_s']:>9,}/s   bare {result['bare_lz4_per_s']:>9,}/s   ratio {result['ratio_same_bytes_lz4']} ({result['ratio_same_bytes_lz4_range'][0]} to {result['ratio_same_bytes_lz4_range'][1]})
    {result['allocations_per_event']} allocations an event in the caller's threads; {result['cpu_us_per_event']} us of CPU an event, all threads""", file=sys.stderr)
    worst = min(result["ratio"] for result in results)  # the goal holds for each number of threads
    return {"bench": "publish", "ratio": worst, "ratios": {"P7": worst}, "events": options.events,
            "value_bytes": size["value"], "key_bytes": size["key"], "counterpart": against, "pairs": options.pairs, "by_threads": results}
