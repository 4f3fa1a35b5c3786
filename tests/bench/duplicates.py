"""duplicates: messages/s of a drain in which 0.1, 1 and 10 % of the messages repeat an event, over the drain without any.

Half of the repeats follow their event within 1,000 messages, as a client's own retries do (mostly into the same batch); the others come anywhere later and
meet a row that is stored. Clean and repeated topics are drained in turn from empty tables; every run must store each event once and count
each repeat, contents compared by hash.
"""

import argparse
import statistics
import sys

import topic
from drain import drain, dump, measure
from servers import stack
from topic import REST

NEAR = 1000
# Row n repeats when its hash says so, behind itself: at n + 0.5 and on.
REPEATED = """
WITH numbered AS ({numbered}), rows AS (SELECT *, hashint8(n) & 2147483647 AS dice, count(*) OVER () AS total FROM numbered)
SELECT n::float8 AS place, id, {rest} FROM rows
UNION ALL
SELECT n + 0.5 + (hashint8extended(n, 1) & 1048575) / 1048576.0 * CASE WHEN dice % 2 = 0 THEN {near} ELSE total - n END, id, {rest}
FROM rows WHERE dice / 2 % 100000 < {percent} * 1000"""


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run duplicates", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--percent", default="0.1,1,10", help="shares of repeats, with commas")
    return parser.parse_args(words)


def load(servers, rows, shares):
    """Topic's name by share of repeats; 0 is the clean one."""
    topic.generate(servers, rows)
    dump(servers, topic.EVENTS).unlink()        # drained once: the table holds the rows
    names = {0.0: topic.EVENTS}
    for share in shares:
        names[share] = f"events-{share:g}"
        topic.send(servers, REPEATED.format(numbered=topic.NUMBERED, rest=REST, near=NEAR, percent=share), names[share])
    return names


def one(servers, name):
    run = measure(servers, lambda: drain(servers, 1, 1200, name))
    run["duplicates"] = int(servers.sql("SELECT sum(duplicates) FROM tallymill.batches", fetch=True)[0][0])
    return run


def compare(runs):
    """Share to its figures."""
    clean = runs.pop(0.0)
    shares = {}
    for share, with_repeats in runs.items():
        ratios = sorted(ours["rate"] / base["rate"] for base, ours in zip(clean, with_repeats))
        messages = with_repeats[0]["rows"] + with_repeats[0]["duplicates"]
        shares[f"{share:g} %"] = {
            "ratio": round(statistics.median(ratios), 3), "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
            "messages_per_s": round(statistics.median(run["rate"] for run in with_repeats)), "duplicates": with_repeats[0]["duplicates"],
            "postgres_us_per_message": round(statistics.median(run["postgres_cpu"] for run in with_repeats) / messages * 1e6, 2),
            "contents_equal": len({(run["rows"], run["hash"]) for run in clean + with_repeats}) == 1}
    rate = round(statistics.median(run["rate"] for run in clean))
    cpu = round(statistics.median(run["postgres_cpu"] for run in clean) / clean[0]["rows"] * 1e6, 2)
    return rate, cpu, shares


def run(words):
    options = arguments(words)
    shares = [float(share) for share in options.percent.split(",")]
    with stack() as servers:
        names = load(servers, options.rows, shares)
        runs = {share: [] for share in names}
        for _ in range(options.pairs):
            for share, name in names.items():
                runs[share].append(one(servers, name))
    rate, cpu, found = compare(runs)
    worst = min(share["ratio"] for share in found.values())
    print(f"\nduplicates: {options.rows:,} events, {options.pairs} rounds, one worker\n"
          f"  none     {rate:>9,} messages/s, Postgres {cpu} us a message", file=sys.stderr)
    for share, figures in found.items():
        print(f"  {share:<8} {figures['messages_per_s']:>9,} messages/s, Postgres {figures['postgres_us_per_message']} us; ratio {figures['ratio']} (from "
              f"{figures['ratio_range'][0]} to {figures['ratio_range'][1]}), {figures['duplicates']:,} duplicates, contents "
              f"{'equal' if figures['contents_equal'] else 'DIFFER'}", file=sys.stderr)
    figures = {"bench": "duplicates", "ratio": worst, "ratios": {share: figures["ratio"] for share, figures in found.items()}, "rows": options.rows,
               "clean_rows_per_s": rate, "postgres_us_per_clean_row": cpu, "shares": found}
    return figures if all(share["contents_equal"] for share in found.values()) else None
