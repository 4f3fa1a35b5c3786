"""transcode (P6): CPU microseconds from one msgpack event to its COPY tuple, beside the naive way and memcpy of the same bytes.

Naive: msgpack-c unpacks to a tree, sprintf prints it. Floor: the message's bytes copied. The events are the generator's, those nearest to the reference event of 329
bytes. No server runs. Instructions per event come from callgrind (package valgrind): two runs of different length, the difference divided.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from servers import ROOT

DRIVER = "transcode-driver"
SHORT, LONG = 2_560, 12_800


def driver(build):
    path = ROOT / build / "bin" / DRIVER
    subprocess.run(["cmake", "--build", ROOT / build, "--target", DRIVER], check=True, stdout=subprocess.DEVNULL)
    return path


def instructions(path):
    """Per event, or None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    counted = []
    for events in (SHORT, LONG):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", path, "--ours", str(events)],
                                  stderr=subprocess.PIPE, check=True, text=True)
        counted.append(int(re.search(r"Collected *: *(\d+)", done.stderr).group(1)))
    return (counted[1] - counted[0]) / (LONG - SHORT)


def run(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run transcode", description=__doc__)
    parser.add_argument("--build", default="build", help="build directory of the checkout (a release)")
    options = parser.parse_args(words)
    path = driver(options.build)
    measured = json.loads(subprocess.run([path], check=True, stdout=subprocess.PIPE).stdout)
    median = {way: statistics.median(measured[way]) for way in ("ours", "naive", "memcpy")}
    each = instructions(path)
    figures = {"bench": "transcode", "ratio": round(median["ours"], 3), "ratios": {"P6": round(median["ours"], 3)},
               "us_per_event": {way: round(us, 4) for way, us in median.items()},
               "us_range": {way: [min(measured[way]), max(measured[way])] for way in median},
               "naive_over_ours": round(median["naive"] / median["ours"], 2),
               "instructions_per_event": round(each) if each else None,
               **{key: measured[key] for key in ("event_bytes", "json_bytes", "tuple_bytes")}}
    print(f"""
transcode: events of {measured['event_bytes']} bytes, {measured['json_bytes']} bytes of JSON, tuples of {measured['tuple_bytes']}
  ours     {median['ours']:.3f} us an event   ({f'{each:.0f} instructions' if each else 'valgrind is not installed'})
  naive    {median['naive']:.3f} us   {figures['naive_over_ours']} x ours (msgpack-c unpack, sprintf)
  memcpy   {median['memcpy']:.3f} us   the floor
  P6       {figures['ratio']} (0.25 wanted, 0.15 hoped for)""", file=sys.stderr)
    return figures
