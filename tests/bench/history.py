"""history (P12): rows/s of a worker into a table with 20 M rows over 13 months, the current month being loaded, over its rate into an empty one.

First, from empty tables, a worker drains a topic and psql's binary \\copy loads a file of other rows, in turn. Then the server fills thirteen months, a row like the
generator's about 330 bytes, ids in the order of time as UUIDv7 are, all indexes in place, and VACUUM ANALYZE; and the same topics and files go in again. Before each of these
loads the current month is filled anew, so that each meets the history that is told and not also the loads before it. No CHECKPOINT comes between: behind one each page is written
whole into the WAL at its first change, and 300,000 rows touch nearly all pages of the month's indexes. For the same reason the server is set up for such a history
(SERVER): with Postgres's defaults (128 MB of shared buffers, a checkpoint each gigabyte of WAL) that is all that is measured. P12 is the worker's median with history over its median without; the plain copy's
own ratio beside it says how much of a fall is Postgres's. A full run takes ten minutes and 20 GB of disk; `--rows 1000000` is a try.
"""

import argparse
import concurrent.futures
import statistics
import sys
import time

import psycopg2

import topic
from drain import copy_file, drain, dump, empty
from processes import family_cpu_seconds
from servers import stack

MONTHS = 13
SERVER = ("shared_buffers=2GB", "max_wal_size=16GB", "checkpoint_timeout=30min")
STEP = 100_000
# Rows %(first)s to %(last)s of %(rows)s, spread evenly between two moments; the id is the time in ms, then a hash.
FILL = """
INSERT INTO analytics_events (id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
       (ARRAY['session_start', 'code_input', 'doc_generation', 'doc_export', 'performance', 'page_view', 'login', 'error'])[1 + g %% 8],
       'usage', 's-' || g / 8, CASE WHEN g %% 10 < 6 THEN hashint8(g / 8) & 1048575 END,
       jsonb_build_object('origin', 'main', 'language', 'javascript', 'padding', repeat('x', 90), 'number', g), g %% 50 = 0, at
FROM (SELECT g, md5(g || %(salt)s) AS hash, %(begin)s::timestamptz + (g - 1) * ((%(end)s::timestamptz - %(begin)s::timestamptz) / %(rows)s) AS at
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) g) r"""
# The months before this one, then this one up to where the topics' events begin.
BOUNDS = f"""SELECT date_trunc('month', now()) - n * interval '1 month', CASE WHEN n = 0 THEN greatest(now() - interval '2 days', date_trunc('month', now()) + interval '1 hour')
             ELSE date_trunc('month', now()) - (n - 1) * interval '1 month' END FROM generate_series({MONTHS - 1}, 0, -1) n"""


def fill_part(dsn, bounds, rows):
    connection = psycopg2.connect(dsn, options="-c TimeZone=UTC -c synchronous_commit=off")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT tallymill.make_month(%s::date)", (bounds[0],))
        for first in range(1, rows + 1, STEP):
            cursor.execute(FILL, {"begin": bounds[0], "end": bounds[1], "rows": rows, "first": first, "last": min(first + STEP - 1, rows), "salt": str(bounds[0])})
    connection.close()


def fill(servers, rows, months):
    """These of the thirteen months, two parts of a month at a time."""
    parts = []
    for begin, end in months:
        middle = begin + (end - begin) / 2
        parts += [((begin, middle), rows // MONTHS // 2), ((middle, end), rows // MONTHS // 2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(fill_part, servers.dsn, *part) for part in parts]:
            done.result()


def fill_current(servers, rows):
    """The current month as it was before the last load."""
    months = servers.sql(BOUNDS, fetch=True)
    table = f"analytics_events_{months[-1][1]:%Y_%m}"
    servers.sql(f"TRUNCATE {table}")
    fill(servers, rows, months[-1:])
    servers.sql(f"VACUUM (ANALYZE) {table}")


def count_new(servers):
    """Rows that are no history: the topics' events are of the last day."""
    return servers.sql("SELECT count(*) FROM analytics_events WHERE created_at > now() - interval '40 hours'", fetch=True)[0][0]


def measure(servers, rows, load):
    """(rows/s, Postgres's CPU us a row) of what stores that many rows, counted."""
    before = count_new(servers)
    servers.sql("TRUNCATE tallymill.batches, tallymill.owners")     # the ledger of this run alone gives its rate
    cpu = family_cpu_seconds(servers.postmaster)
    rate, _ = load()
    cpu = family_cpu_seconds(servers.postmaster) - cpu
    if count_new(servers) - before != rows:
        raise RuntimeError(f"{count_new(servers) - before:,} rows are new, not {rows:,}")
    return rate, cpu / rows * 1e6


def pairs(servers, options, files, prepare):
    """Drains and copies in turn: {"worker": (rate, cpu), "copy": ...} for each file."""
    found = []
    for number, file in enumerate(files):
        prepare()
        worker = measure(servers, options.load, lambda name=f"history-{number}": drain(servers, 1, 1200, name))
        prepare()
        found.append({"worker": worker, "copy": measure(servers, options.load, lambda file=file: copy_file(servers, file, options.load))})
    return found


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run history", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000, help="of history, over 13 months")
    parser.add_argument("--load", type=int, default=300_000, help="rows that one drain or copy stores")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--server", nargs="*", default=SERVER, metavar="NAME=VALUE", help="settings of Postgres (none: its defaults)")
    return parser.parse_args(words)


def make_inputs(servers, options):
    """Topics to drain, and files of other rows to copy. Each is younger than the one before, as live events are: of one day all together, each load would go in between
    the rows of those before it, and split the pages of every index by time."""
    files = []
    for number in range(options.pairs):
        topic.generate(servers, options.load, f"history-{number}", seed=2 * number + 1, live=True)
        topic.generate(servers, options.load, f"copied-{number}", seed=2 * number + 2, live=True)
        files.append(dump(servers, f"copied-{number}"))
    return files


def run(words):
    def say(text):
        print(text, file=sys.stderr, flush=True)

    options, started = arguments(words), time.monotonic()
    with stack() as servers:
        servers.tune(options.server)
        told = servers.told()
        files = make_inputs(servers, options)
        without = pairs(servers, options, files, lambda: empty(servers))
        empty(servers)
        fill(servers, options.rows, servers.sql(BOUNDS, fetch=True)[:-1])
        servers.sql("VACUUM (ANALYZE) analytics_events")
        say(f"  {options.rows // MONTHS * (MONTHS - 1):,} rows of history after {time.monotonic() - started:.0f} s")
        beside = pairs(servers, options, files, lambda: fill_current(servers, options.rows))
        gib = servers.sql("SELECT pg_database_size(current_database())", fetch=True)[0][0] / (1 << 30)
    figures = {"bench": "history", "rows": options.rows, "months": MONTHS, "load": options.load, "pairs": options.pairs, "server": told, "database_gib": round(gib, 1)}
    for who in ("worker", "copy"):
        none, full = [[runs[who] for runs in those] for those in (without, beside)]
        figures[who] = {"rows_per_s_without": round(statistics.median(one[0] for one in none)), "rows_per_s_with": round(statistics.median(one[0] for one in full)),
                        "rows_per_s_range_with": [round(min(one[0] for one in full)), round(max(one[0] for one in full))],
                        "postgres_us_without": round(statistics.median(one[1] for one in none), 2), "postgres_us_with": round(statistics.median(one[1] for one in full), 2)}
        figures[who]["ratio"] = round(figures[who]["rows_per_s_with"] / figures[who]["rows_per_s_without"], 3)
    figures |= {"ratio": figures["worker"]["ratio"], "ratios": {"P12": figures["worker"]["ratio"], "copy": figures["copy"]["ratio"]},
                "took_s": round(time.monotonic() - started)}
    say(f"\nhistory: {options.rows:,} rows over {MONTHS} months, {options.pairs} pairs of {options.load:,} rows into the current one, {figures['database_gib']} GiB, {figures['took_s']} s; {told}")
    for who, name in (("worker", "worker"), ("copy", "psql \\copy")):
        one = figures[who]
        say(f"  {name:<12} {one['rows_per_s_without']:>9,} rows/s without, {one['rows_per_s_with']:,} with history (from {one['rows_per_s_range_with'][0]:,} to "
            f"{one['rows_per_s_range_with'][1]:,}): {one['ratio']}; Postgres {one['postgres_us_without']} and {one['postgres_us_with']} us a row")
    return figures
