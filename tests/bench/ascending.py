"""ascending: the indexes with created_at DESC, as the plan has them, beside ascending ones, as `tallymill advise` says to make them.

In turn (the plan's, ascending, the plan's, ...), into empty tables: psql's binary \\copy of the rows, and one worker that drains the topic, as the bench `drain` does; so P1 of each, and
what each costs. The indexes are changed by the statements of `advise` themselves, and back by the definitions of before.

Then the table is filled once with events of `--days` days, and each query is explained and timed with the plan's indexes, and again once the statements were run on the filled table: the
plan's four patterns on raw events as `advise --probe` asks them, and the newest events of all, of a name and of a user, for which the plan sorts its indexes descending.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time

import psycopg2
import topic
from drain import copy_file, drain, dump, empty, measure, median_rate, median_us
from servers import ROOT, stack
from topic import EVENTS

KINDS = ("plan", "ascending")
PROBES = {name: (ROOT / f"operator/sql/advise_probe_{name}.sql").read_text() for name in ("kpi", "funnel", "breakdown", "series")}
NEWEST = {
    "newest external": "SELECT id, event_name, created_at FROM analytics_events WHERE is_internal = FALSE ORDER BY created_at DESC LIMIT 100",
    "newest of a name": "SELECT id, session_id, created_at FROM analytics_events WHERE event_name = 'doc_export' ORDER BY created_at DESC LIMIT 100",
    "newest of a user": """SELECT id, event_name, created_at FROM analytics_events WHERE user_id = (SELECT max(user_id) FROM analytics_events)
                           ORDER BY created_at DESC LIMIT 100""",
    "a name's last day": "SELECT count(*) FROM analytics_events WHERE event_name = 'doc_export' AND created_at >= now() - interval '1 day'",
}
QUERIES = {**PROBES, **NEWEST}
DESCENDING = """SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = 'analytics_events'::regclass AND pg_get_indexdef(i.indexrelid) LIKE '%DESC%' ORDER BY 1"""
SIZES = """SELECT p.relname, sum(pg_relation_size(h.inhrelid))::bigint FROM pg_index i JOIN pg_class p ON p.oid = i.indexrelid JOIN pg_inherits h ON h.inhparent = p.oid
           WHERE i.indrelid = 'analytics_events'::regclass AND p.relname IN %s GROUP BY 1 ORDER BY 1"""
PARENTS = "SELECT c.relname, p.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'I'"


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run ascending", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--query-rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--runs", type=int, default=9, help="of each query")
    return parser.parse_args(words)


def make_ascending(servers):
    """Runs what `advise` says, statement by statement in one session; how many they were."""
    said = subprocess.run([ROOT / "build/bin/tallymill", "advise", "--config", servers.settings, "--json"], check=True, capture_output=True, text=True)
    (action,) = [one for one in json.loads(said.stdout)["advice"]["actions"] if "ascending" in one["what"]]
    with contextlib.closing(psycopg2.connect(servers.dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in action["sql"]:
            cursor.execute(statement)
    return len(action["sql"])


def make_descending(servers, definitions):
    for name, definition in definitions:
        servers.sql(f"DROP INDEX {name}")
        servers.sql(definition.replace(" ON ONLY ", " ON "))


def load_in_turn(servers, options, definitions):
    """Kind of indexes to (copies, drains, sizes of the indexes)."""
    path, runs = dump(servers, EVENTS), {kind: ([], []) for kind in KINDS}
    sizes = {}
    for _ in range(options.pairs):
        for kind, (copies, drains) in runs.items():
            empty(servers)
            if kind == "ascending":
                make_ascending(servers)
            copies.append(measure(servers, lambda: copy_file(servers, path, options.rows)))
            drains.append(measure(servers, lambda: drain(servers, 1, 600, EVENTS)))
            names = ", ".join(f"'{name}'" for name, _ in definitions)
            sizes[kind] = dict(servers.sql(SIZES % f"({names})", fetch=True))
            if kind == "ascending":
                empty(servers)
                make_descending(servers, definitions)
    return runs, {kind: {name: int(size) for name, size in of.items()} for kind, of in sizes.items()}


def fill(servers, options):
    """The events of so many days, in place of what the tables hold."""
    empty(servers)
    words = topic.words("events-of-days")
    topic.make(servers, "events-of-days")
    produce = servers.program("tallymill-produce", "--generate", str(options.query_rows), "--seed", "2", "--days", str(options.days), *words)
    if produce.wait(timeout=3600):
        raise RuntimeError("tallymill-produce failed")
    drain(servers, 1, 3600, "events-of-days")


def nodes(plan, parents):
    """A plan as its kinds of nodes, each once, from the top: an index by the name that its parent has."""
    index = plan.get("Index Name")
    backward = " backward" if plan.get("Scan Direction") == "Backward" else ""
    found = [plan["Node Type"] + (f" {parents.get(index, index)}{backward}" if index else "")]
    for child in plan.get("Plans", ()):
        found += [node for node in nodes(child, parents) if node not in found]
    return found


def ask(servers, options):
    """Query to its plan and its times."""
    servers.sql("VACUUM ANALYZE")
    parents = dict(servers.sql(PARENTS, fetch=True))
    found = {}
    with contextlib.closing(psycopg2.connect(servers.dsn, options="-c timezone=UTC")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for name, query in QUERIES.items():
            cursor.execute(f"EXPLAIN (FORMAT JSON) {query}")
            plan = nodes(cursor.fetchone()[0][0]["Plan"], parents)
            times = []
            for _ in range(options.runs):
                started = time.monotonic()
                cursor.execute(query)
                cursor.fetchall()
                times.append((time.monotonic() - started) * 1000)
            found[name] = {"plan": " > ".join(plan), "p50_ms": round(statistics.median(times), 2), "max_ms": round(max(times), 2)}
    return found


def rates(options, copies, drains):
    ratios = sorted(ours["rate"] / plain["rate"] for plain, ours in zip(copies, drains))
    return {"P1": round(statistics.median(ratios), 3), "P1_range": [round(ratios[0], 3), round(ratios[-1], 3)], "copy_rows_per_s": median_rate(copies), "worker_rows_per_s": median_rate(drains),
            "postgres_of_copy_us": median_us(copies, "postgres_cpu", options.rows), "postgres_of_worker_us": median_us(drains, "postgres_cpu", options.rows)}


def report(options, runs, sizes, queries, made_s):
    kinds = {kind: rates(options, *turns) for kind, turns in runs.items()}
    plan, ours = (kinds[kind] for kind in KINDS)
    contents = {(run["rows"], run["hash"]) for turns in runs.values() for turn in turns for run in turn}
    ratios = {"worker": round(ours["worker_rows_per_s"] / plan["worker_rows_per_s"], 3), "copy": round(ours["copy_rows_per_s"] / plan["copy_rows_per_s"], 3),
              "postgres_cpu_of_copy": round(ours["postgres_of_copy_us"] / plan["postgres_of_copy_us"], 3), "P1 plan": plan["P1"], "P1 ascending": ours["P1"]}
    print(f"\nascending: {options.rows:,} rows, {options.pairs} turns of each, contents {'equal' if len(contents) == 1 else 'DIFFER'}", file=sys.stderr)
    for kind, found in kinds.items():
        print(f"  {kind:<10} psql \\copy {found['copy_rows_per_s']:>8,} rows/s ({found['postgres_of_copy_us']} us/row of Postgres), worker {found['worker_rows_per_s']:>8,} "
              f"({found['postgres_of_worker_us']}), P1 {found['P1']} ({found['P1_range'][0]} to {found['P1_range'][1]})", file=sys.stderr)
    for name, size in sizes["plan"].items():
        print(f"  {name:<40} {size / 2**20:>8.1f} MiB, ascending {sizes['ascending'][name] / 2**20:>8.1f} MiB ({sizes['ascending'][name] / size:.2f})", file=sys.stderr)
    print(f"  queries over {options.query_rows:,} events of {options.days} days; the statements of advise took {made_s} s on them", file=sys.stderr)
    for name in QUERIES:
        before, after = (queries[kind][name] for kind in KINDS)
        print(f"  {name:<18} {before['p50_ms']:>8} ms, ascending {after['p50_ms']:>8} ms\n      {before['plan']}", file=sys.stderr)
        if after["plan"] != before["plan"]:
            print(f"      {after['plan']}", file=sys.stderr)
    figures = {"bench": "ascending", "ratio": ratios["worker"], "ratios": ratios, "rows": options.rows, "pairs": options.pairs, "kinds": kinds, "index_bytes": sizes, "queries": queries,
               "query_rows": options.query_rows, "statements_took_s": made_s}
    return figures if len(contents) == 1 else None


def run(words):
    options = arguments(words)
    with stack() as servers:
        topic.generate(servers, options.rows)
        definitions = servers.sql(DESCENDING, fetch=True)
        runs, sizes = load_in_turn(servers, options, definitions)
        fill(servers, options)
        queries = {"plan": ask(servers, options)}
        started = time.monotonic()
        make_ascending(servers)
        made_s = round(time.monotonic() - started, 1)
        queries["ascending"] = ask(servers, options)
        return report(options, runs, sizes, queries, made_s)
