"""queries: the plan's four query patterns answered from the tables that the aggregator keeps, beside the same from the raw events.

Made-up sessions go the real way (producer, Kafka, worker, aggregator) until `--rows` events over `--days` days are stored, the statistics are
folded and every rollup is computed; then VACUUM ANALYZE, so that the raw queries have the best plans there are. Each pattern is asked for
ranges of days drawn at random, ours and the raw one in turn, over one connection, by the clock of the client, rows fetched. The two answers are
compared each time. Q1: the slowest p95 of ours as a part of 100 ms (below 1 holds); the other ratios are raw p50 over ours. P24: the same of the distinct
sessions of a range, from analytics_daily_uniques.
"""

import argparse
import contextlib
import datetime
import random
import statistics
import subprocess
import sys
import time

import psycopg2

from servers import ROOT, stack

LIMIT_MS = 100
RAW = "FROM analytics_events WHERE is_internal = FALSE AND created_at >= %(first)s::date AND created_at < %(last)s::date + 1"
OURS = "WHERE date BETWEEN %(first)s AND %(last)s"
STAGES = ("session_start", "code_input", "generation_started", "generation_completed", "doc_export")
DONE = "event_name = 'generation_completed' OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')"

# Pattern: (ours, raw).
PATTERNS = {
    "funnel by day": (
        f"SELECT date, {', '.join(f'max(sessions) FILTER (WHERE step = {n})' for n in range(1, 6))} FROM analytics_daily_funnel {OURS} GROUP BY 1 ORDER BY 1",
        f"""SELECT created_at::date, count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start'),
                   count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input'),
                   count(DISTINCT session_id) FILTER (WHERE event_name IN ('generation_started', 'doc_generation')),
                   count(DISTINCT session_id) FILTER (WHERE {DONE}),
                   count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') {RAW} GROUP BY 1 ORDER BY 1"""),
    "counts by day": (f"SELECT date, event_name, event_count FROM analytics_daily_stats {OURS} ORDER BY 1, 2",
                      f"SELECT created_at::date, event_name, count(*) {RAW} GROUP BY 1, 2 ORDER BY 1, 2"),
    "counts by week": (f"SELECT date_trunc('week', date::timestamp)::date, event_name, sum(event_count)::bigint FROM analytics_daily_stats {OURS} GROUP BY 1, 2 ORDER BY 1, 2",
                       f"SELECT date_trunc('week', created_at)::date, event_name, count(*) {RAW} GROUP BY 1, 2 ORDER BY 1, 2"),
    "counts by month": (f"SELECT date_trunc('month', date::timestamp)::date, event_name, sum(event_count)::bigint FROM analytics_daily_stats {OURS} GROUP BY 1, 2 ORDER BY 1, 2",
                        f"SELECT date_trunc('month', created_at)::date, event_name, count(*) {RAW} GROUP BY 1, 2 ORDER BY 1, 2"),
    "uniques by day": (f"SELECT date, event_name, unique_sessions, unique_users FROM analytics_daily_stats {OURS} ORDER BY 1, 2",
                       f"SELECT created_at::date, event_name, count(DISTINCT session_id), count(DISTINCT user_id) {RAW} GROUP BY 1, 2 ORDER BY 1, 2"),
    "breakdown by language": (
        f"SELECT value, sum(events)::bigint FROM analytics_daily_breakdowns {OURS} AND event_name = 'doc_generation' AND attribute = 'language' GROUP BY 1 ORDER BY value COLLATE \"C\"",
        f"SELECT event_data ->> 'language', count(*) {RAW} AND event_name = 'doc_generation' GROUP BY 1 ORDER BY (event_data ->> 'language') COLLATE \"C\""),
    "breakdown by origin": (
        f"SELECT value, sum(events)::bigint FROM analytics_daily_breakdowns {OURS} AND event_name = 'code_input' AND attribute = 'origin' GROUP BY 1 ORDER BY value COLLATE \"C\"",
        f"SELECT event_data ->> 'origin', count(*) {RAW} AND event_name = 'code_input' GROUP BY 1 ORDER BY (event_data ->> 'origin') COLLATE \"C\""),
    "KPIs": (
        f"SELECT sum(signups)::bigint, sum(trials_started)::bigint, sum(trials_converted)::bigint, sum(checkouts_completed)::bigint FROM analytics_daily_conversions {OURS}",
        f"""SELECT count(*) FILTER (WHERE event_name = 'signup'), count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'started'),
                   count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'converted'),
                   count(*) FILTER (WHERE event_name = 'checkout_completed') {RAW} AND event_name IN ('signup', 'trial', 'checkout_completed')"""),
}

SUMMED = "FROM analytics_daily_uniques {0} AND previous_date < %(first)s AND population = 'external'".format(OURS)
# Uniques of a range, of which no kept table but one has the answer: the raw query sorts or hashes every event of it.
RANGES = {
    f"range {kind}s of {subject}": (f"SELECT '{subject}', coalesce(sum(keys), 0)::bigint {SUMMED} AND subject = '{subject}' AND kind = '{kind}'",
                                    f"SELECT '{subject}', count(DISTINCT {column}) {RAW}" + ("" if subject == "*" else f" AND event_name = '{subject}'"))
    for kind, column in (("session", "session_id"), ("user", "user_id")) for subject in ("*", "login", "doc_export")
}
PATTERNS.update(RANGES)


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run queries", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--span", type=int, default=30, help="days that a query asks for")
    parser.add_argument("--only", default="", metavar="WORDS", help='patterns whose name begins so: "range" is P24, without rollups')
    parser.add_argument("--runs", type=int, default=100, help="queries of ours per pattern; a tenth as many raw ones")
    return parser.parse_args(words)


def step(what, work):
    started = time.monotonic()
    work()
    took = round(time.monotonic() - started, 1)
    print(f"  {what}: {took} s", file=sys.stderr, flush=True)
    return took


def must(servers, name, *words):
    process = servers.program(name, *words)
    if process.wait(timeout=7200):
        raise RuntimeError(f"{name} failed")


def load(servers, options):
    without_rollups = servers.state / "no-rollups"
    without_rollups.mkdir()
    choice = ("--set", f"rollups.dir={without_rollups}") if options.only.startswith("range") else ()
    subprocess.run([ROOT / "build/bin/tallymill", "migrate", "--config", servers.settings, *choice], check=True, stdout=subprocess.DEVNULL)
    quiet = ("--set", "log.level=warn")
    return {
        "produced_s": step("produced", lambda: must(servers, "tallymill-produce", "--generate", str(options.rows), "--seed", "1",
                                                    "--days", str(options.days))),
        "stored_s": step("stored", lambda: must(servers, "tallymill-consumer", "--until-end", *quiet)),
        "computed_s": step("folded and every rollup computed", lambda: must(servers, "tallymill-aggregator", "--once", *quiet)),
        "vacuumed_s": step("VACUUM ANALYZE", lambda: servers.sql("VACUUM ANALYZE")),
    }


def timed(cursor, statement, values):
    started = time.monotonic()
    cursor.execute(statement, values)
    rows = cursor.fetchall()
    return (time.monotonic() - started) * 1000, rows


def percentile(values, part):
    return round(sorted(values)[min(len(values) - 1, int(len(values) * part))], 2)


def measure(servers, options):
    """Pattern to (times of ours, times of raw ones), and how many answers differed."""
    times, different, source = {}, 0, random.Random(1)
    last_day = datetime.datetime.now(datetime.timezone.utc).date()
    with contextlib.closing(psycopg2.connect(servers.dsn, options="-c timezone=UTC")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for name, (ours, raw) in PATTERNS.items():
            if not name.startswith(options.only):
                continue
            fast, slow = [], []
            for number in range(options.runs):
                first = last_day - datetime.timedelta(days=source.randrange(options.span, max(options.span + 1, options.days)))
                values = {"first": first, "last": first + datetime.timedelta(days=options.span - 1)}
                took, answer = timed(cursor, ours, values)
                fast.append(took)
                if number % 10 == 0:
                    took, expected = timed(cursor, raw, values)
                    slow.append(took)
                    different += [row for row in answer if any(row[1:])] != [row for row in expected if any(row[1:])]
            times[name] = fast, slow
    return times, different


def report(servers, options, steps, times, different):
    patterns = {name: {"p50_ms": round(statistics.median(fast), 2), "p95_ms": percentile(fast, 0.95), "raw_p50_ms": round(statistics.median(slow), 1),
                       "raw_p95_ms": percentile(slow, 0.95)} for name, (fast, slow) in times.items()}
    worst = max(pattern["p95_ms"] for pattern in patterns.values())
    ratios = {"Q1": round(worst / LIMIT_MS, 4)}
    ratios.update({name: round(statistics.median(slow) / statistics.median(fast), 1) for name, (fast, slow) in times.items()})
    if "range sessions of *" in ratios:
        ratios["P24"] = ratios["range sessions of *"]
    stored = servers.sql("SELECT count(*) FROM analytics_events", fetch=True)[0][0]
    print(f"\nqueries: {stored:,} events over {options.days} days, ranges of {options.span} days, {options.runs} runs, answers "
          f"{'equal' if not different else f'DIFFER {different} times'}", file=sys.stderr)
    for name, p in patterns.items():
        print(f"  {name:<22} ours p50 {p['p50_ms']:>7} ms, p95 {p['p95_ms']:>7} ms   raw p50 {p['raw_p50_ms']:>9} ms, p95 {p['raw_p95_ms']:>9} ms",
              file=sys.stderr)
    figures = {"bench": "queries", "ratio": ratios["Q1"], "ratios": ratios, "worst_p95_ms": worst, "rows": stored, "days": options.days,
               "span_days": options.span, "runs": options.runs, "patterns": patterns, "answers_equal": not different, **steps}
    return figures if not different else None


def run(words):
    options = arguments(words)
    with stack() as servers:
        steps = load(servers, options)
        times, different = measure(servers, options)
        return report(servers, options, steps, times, different)
