"""refused: what one row in 10,000 that Postgres refuses costs: the drain of clean batches over that of batches with one such row each.

One topic partition and memory for batches of 10,000 rows, so that every batch of one topic holds exactly one bad row, somewhere in it. Its name violates a CHECK, which
the clean drain pays for too. Time a batch, and CPU of server and worker, clean and refused in turn. Each bad row must end as a dead letter, all others stored.
A second pair has the server speak German, because who looks for the row in the text of the error would not find it there: the locale is made
in a directory of the bench's own (localedef, package locales; LOCPATH), and left out when it cannot be made.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg2

import topic
from drain import drain, dump, measure
from servers import stack
from topic import REST

BATCH = 10_000
SETTINGS = ("--set", f"batch.max_rows={BATCH}", "--set", "memory.max=512 MiB")
BAD = "bench_refused"
CHECK = f"ALTER TABLE analytics_events ADD CONSTRAINT bench_refuses CHECK (event_name <> '{BAD}')"
# In each 10,000 one row, anywhere in it, gets the name that is refused.
WITH_BAD = f"""SELECT n AS place, id, CASE WHEN (n - 1) % {BATCH} = (hashint8((n - 1) / {BATCH}) & 2147483647) % {BATCH} THEN '{BAD}' ELSE event_name END AS event_name,
  CASE WHEN (n - 1) % {BATCH} = (hashint8((n - 1) / {BATCH}) & 2147483647) % {BATCH} THEN NULL ELSE event_category END AS event_category,
  {REST.split(', ', 2)[2]} FROM ({topic.NUMBERED}) r"""


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run refused", description=__doc__)
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--pairs", type=int, default=5)
    return parser.parse_args(words)


def make_german(folder):
    """Whether the German locale could be made in that directory."""
    try:
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


def speak(servers, locale):
    """The server's messages in that language; what it then says to a mistake."""
    servers.sql(f"ALTER SYSTEM SET lc_messages = '{locale}'")
    servers.sql("SELECT pg_reload_conf()")
    limit = time.monotonic() + 30
    while servers.sql("SHOW lc_messages", fetch=True)[0][0] != locale:
        if time.monotonic() > limit:
            raise RuntimeError(f"the server does not take lc_messages = {locale}")
        time.sleep(0.05)
    try:
        servers.sql("SELECT 1 / (SELECT 0)")
    except psycopg2.Error as said:
        return str(said).strip()
    return ""


def load(servers, rows):
    topic.generate(servers, rows, "clean", partitions=1)
    dump(servers, "clean").unlink()
    topic.send(servers, WITH_BAD, "refused", partitions=1)
    servers.sql(CHECK)


def one(servers, name):
    run = measure(servers, lambda: drain(servers, 1, 1200, name, SETTINGS))
    run["batches"], run["letters"] = servers.sql("SELECT count(DISTINCT batch_id), sum(dead_letters)::int FROM tallymill.batches", fetch=True)[0]
    run["cpu"] = run["client_cpu"] + run["postgres_cpu"]
    return run


def compare(options, clean, refused):
    costs = sorted(base["rate"] / bad["rate"] for base, bad in zip(clean, refused))
    return {"ratio": round(statistics.median(costs), 3), "ratio_range": [round(costs[0], 3), round(costs[-1], 3)],
            "cpu_ratio": round(statistics.median(bad["cpu"] / base["cpu"] for base, bad in zip(clean, refused)), 3),
            "clean_ms_per_batch": round(BATCH / statistics.median(run["rate"] for run in clean) * 1000, 1),
            "refused_ms_per_batch": round(BATCH / statistics.median(run["rate"] for run in refused) * 1000, 1),
            "clean_batches": clean[0]["batches"], "refused_batches": refused[0]["batches"],
            "outcomes_right": all((run["rows"], run["letters"]) == (options.batches * BATCH, 0) for run in clean)
            and all((run["rows"], run["letters"]) == (options.batches * (BATCH - 1), options.batches) for run in refused)}


def run(words):
    options = arguments(words)
    with tempfile.TemporaryDirectory(prefix="tallymill-locale-") as folder:
        os.chmod(folder, 0o755)
        languages = ["C"] + (["de_DE.UTF-8"] if make_german(pathlib.Path(folder)) else [])
        with stack({"LOCPATH": folder} if len(languages) > 1 else {}) as servers:
            load(servers, options.batches * BATCH)
            runs, said = {language: ([], []) for language in languages}, {}
            for _ in range(options.pairs):
                for language in languages:
                    said[language] = speak(servers, language)
                    for kind, name in enumerate(("clean", "refused")):
                        runs[language][kind].append(one(servers, name))
    found = {language: compare(options, *both) for language, both in runs.items()}
    print(f"\nrefused: {options.batches} batches of {BATCH:,}, one bad row in each, {options.pairs} pairs", file=sys.stderr)
    for language, figures in found.items():
        print(f"  {language:<12} costs {figures['ratio']} of a clean batch (from {figures['ratio_range'][0]} to {figures['ratio_range'][1]}; CPU {figures['cpu_ratio']}): "
              f"{figures['refused_ms_per_batch']} / {figures['clean_ms_per_batch']} ms; {figures['refused_batches']} and {figures['clean_batches']} batches; outcomes "
              f"{'right' if figures['outcomes_right'] else 'WRONG'}; the server says: {said[language]}", file=sys.stderr)
    if len(languages) == 1:
        print("  de_DE.UTF-8  left out: localedef could not make it (package locales)", file=sys.stderr)
    are_right = all(figures["outcomes_right"] for figures in found.values())
    return {"bench": "refused", "ratio": found["C"]["ratio"], "ratios": {language: figures["ratio"] for language, figures in found.items()},
            "batches": options.batches, "rows_per_batch": BATCH, "languages": found, "said": said} if are_right else None
