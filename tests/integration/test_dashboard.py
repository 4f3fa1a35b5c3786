"""The dashboard over HTTP: figures that equal the events, in one snapshot. Its doors: test_dashboard_doors.py; how it looks: tests/browser."""

import collections
import contextlib
import csv
import datetime
import decimal
import io
import itertools
import pathlib
import random
import re
import socket
import threading
import urllib.parse

import pytest
from psycopg2 import extensions

from .harness.dashboard import Dashboard
from .harness.gate import Gate
from .harness.monitor import Monitor
from .harness.publisher import event, now_us
from .harness.waiting import wait_until

DAY_US = 86_400_000_000
HOSTILE = ["=HYPERLINK(\"http://x\")", "<img src=x onerror=alert(1)>", "+1", "@sum", "a,\"b\"", "täglich"]


def made(days=3):
    """Generations, code inputs and checkouts of the last whole days, some of them internal, with languages that a spreadsheet or a browser might run."""
    today = now_us() // DAY_US * DAY_US
    for day in range(1, days + 1):
        for number in range(40):
            at = today - day * DAY_US + number * 1_000_000
            common = {"created_us": at, "session_id": f"s{number % 9}", "user_id": number % 5, "is_internal": number % 10 == 0}
            yield event("doc_generation", event_category="usage", event_data={"success": number % 4 != 0, "doc_type": "README", "language": HOSTILE[number % 6],
                        "llm": {"latency": {"ttft": 400 + 10 * number}, "cache": {"read_tokens": number % 2 * 100, "input_tokens": 50}}}, **common)
            yield event("checkout_completed", event_category="business", event_data={"tier": "pro", "amount": 19.5}, **common)


def ready(make_site, **settings):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": "", **settings})
    site.send(made())
    site.drain()
    site.fold()
    return site


RAW = "FROM analytics_events WHERE created_at >= (now() AT TIME ZONE 'UTC')::date - 7 AND created_at < (now() AT TIME ZONE 'UTC')::date AND NOT is_internal"


def test_figures_equal_the_events_and_csv_the_panels(make_site):
    site = ready(make_site)
    dashboard = Dashboard(site)
    panels, page = dashboard.page(range="7d", compare="off")
    attempts, succeeded = site.database.rows(f"SELECT count(*), count(*) FILTER (WHERE event_data->>'success' = 'true') {RAW} AND event_name = 'doc_generation'")[0]
    whole = {name: panel["rows"][0][1] for name, panel in panels.items() if panel["show"] == "number" and panel.get("rows")}
    assert whole["generations"] == attempts == 108
    assert whole["success_rate"] == pytest.approx(succeeded / attempts, abs=1e-6)
    assert whole["revenue"] == 19.5 * 108
    assert (whole["sessions"], whole["active_users"]) == site.database.rows(f"SELECT count(DISTINCT session_id), count(DISTINCT user_id) {RAW}")[0]
    assert sum(row[1] for row in panels["new_users"]["rows"]) == whole["active_users"] and sum(row[2] for row in panels["new_users"]["rows"]) >= 0
    assert dashboard.page(range="7d", who="all")[0]["generations"]["rows"][0][1] == 120 and dashboard.page(range="7d", who="internal")[0]["generations"]["rows"][0][1] == 12
    assert [row[1] for row in panels["generations"]["rows"][1:]] == [36, 36, 36]
    languages = site.database.rows(f"SELECT event_data->>'language', count(*) {RAW} AND event_name = 'doc_generation' GROUP BY 1 ORDER BY 2 DESC")
    assert sorted(map(tuple, panels["languages"]["rows"])) == sorted(languages)
    assert page["range"]["grain"] == "day" and page["fresh"]["behind_s"] < 60
    # What waits for a table of a later release says so in its own place.
    for panel in panels.values():
        assert "rows" in panel or panel["trouble_kind"] == "missing", panel
    ttft = panels["ttft"]
    counts = dict(zip(ttft["columns"], next(row for row in ttft["rows"] if row[1] is None)))
    raw = site.database.rows(f"""SELECT count(*) FILTER (WHERE v < 500), count(*) FILTER (WHERE v >= 500 AND v < 1000) FROM
        (SELECT (event_data#>>'{{llm,latency,ttft}}')::numeric AS v {RAW} AND event_name = 'doc_generation') t""")[0]
    assert (counts["excellent"], counts["good"]) == raw

    status, headers, body = dashboard.get("/api/v1/panel/languages.csv?range=7d&compare=off")
    assert status == 200 and headers["Content-Type"] == "text/csv; charset=utf-8" and "attachment" in headers["Content-Disposition"]
    assert b"\r\n" in body
    table = list(csv.reader(io.StringIO(body.decode(), newline="")))
    assert table[0] == ["value", "events"]
    guarded = [["'" + value if value[0] in "=+-@" else value, str(count)] for value, count in panels["languages"]["rows"]]
    assert table[1:] == guarded
    raw_csv = list(csv.reader(io.StringIO(dashboard.get("/api/v1/panel/languages.csv?range=7d&raw=1")[2].decode(), newline="")))
    assert raw_csv[1:] == [[value, str(count)] for value, count in panels["languages"]["rows"]]
    # A panel's SQL is what was asked: run by psql's role it gives the same rows.
    assert [tuple(row) for row in panels["languages"]["rows"]] == [(value, int(count)) for value, count in site.database.rows(panels["languages"]["sql"])]


REACHED = {1: "event_name = 'session_start'", 2: "event_name = 'code_input'", 3: "event_name IN ('generation_started', 'doc_generation')",
           4: "(event_name = 'generation_completed' OR event_name = 'doc_generation' AND event_data->'success' = 'true')", 5: "event_name = 'doc_export'"}


def test_the_funnel_is_of_the_language_that_is_chosen(make_site):
    """A session counts under the languages that it names that day. Whatever the language is called, it stands in no query that is run."""
    site = ready(make_site)
    dashboard = Dashboard(site)
    assert "funnel_of_language" not in dashboard.page(range="7d")[0]
    for language in (*HOSTILE, "'; DROP TABLE analytics_daily_stats; --", "nobody's", "$1"):
        panels, page = dashboard.page("workflow", range="7d", language=language)
        assert page["language"] == language and "funnel" not in panels
        panel = panels["funnel_of_language"]
        spoken = "SELECT created_at::date, session_id " + RAW + " AND event_name IN ('code_input', 'doc_generation') AND event_data->>'language' = %s"
        expected = [site.database.value(f"SELECT coalesce(sum(n), 0)::int FROM (SELECT count(DISTINCT session_id) AS n {RAW} AND {stage} AND (created_at::date, session_id) IN ({spoken}) GROUP BY created_at::date) d", language)
                    for stage in REACHED.values()]
        assert [row[2] for row in panel["rows"]] == expected, language
        assert (sum(expected) > 0) == (language in HOSTILE)
        assert [tuple(row) for row in panel["rows"]] == [tuple(map(lambda cell: int(cell) if not isinstance(cell, str) else cell, row)) for row in site.database.rows(panel["sql"].replace("%", "%%"))]
        status, _, body = dashboard.get("/api/v1/panel/funnel_of_language.csv?" + urllib.parse.urlencode({"range": "7d", "language": language}))
        assert status == 200 and [int(row[2]) for row in list(csv.reader(io.StringIO(body.decode(), newline="")))[1:]] == expected
    for wrong in ("x" * 401, b"\xff"):
        assert dashboard.json("/api/v1/page/workflow", language=wrong)[0] == 400


def test_raw_events_are_streamed_by_what_they_are_asked_for(make_site):
    site = ready(make_site)
    dashboard = Dashboard(site, "dashboard.export_rows=100")
    day = datetime.datetime.fromtimestamp(now_us() // DAY_US * 86400 - 86400, datetime.timezone.utc).date()
    one = f"/api/v1/events.csv?range=custom&first={day}&last={day}"
    rows = list(csv.DictReader(io.StringIO(dashboard.get(one + "&name=doc_generation&who=all")[2].decode(), newline="")))
    assert len(rows) == 40 and {row["event_name"] for row in rows} == {"doc_generation"}
    assert len(list(csv.DictReader(io.StringIO(dashboard.get(one + "&session=s1")[2].decode(), newline="")))) == site.database.value(
        "SELECT count(*) FROM analytics_events WHERE session_id = 's1' AND NOT is_internal AND created_at::date = %s", str(day))
    cut = list(csv.DictReader(io.StringIO(dashboard.get("/api/v1/events.csv?range=7d&who=all")[2].decode(), newline="")))
    assert len(cut) == 101 and "dashboard.export_rows" in cut[-1]["id"] and "100 rows" in cut[-1]["id"]  # what was cut says so
    exactly = Dashboard(site, "dashboard.export_rows=40").get(one + "&name=doc_generation&who=all")[2].splitlines()
    assert len(exactly) == 41 and b"export_rows" not in exactly[-1]
    for filters, condition in (({"user": 3}, "user_id = 3"), ({"user": 3, "who": "internal"}, "user_id = 3"), ({"name": "checkout_completed", "session": "s2"}, "event_name = 'checkout_completed' AND session_id = 's2'"),
                               ({"category": "usage", "user": "+3"}, "event_category = 'usage' AND user_id = 3"), ({"session": "' OR 1=1 --"}, "false"), ({"user": -1}, "false"), ({"name": "", "user": "", "external": 1, "who": "internal"}, "true")):
        found = list(csv.DictReader(io.StringIO(dashboard.get("/api/v1/events.csv?range=7d&" + urllib.parse.urlencode(filters))[2].decode(), newline="")))
        internal = filters.get("who") == "internal"
        assert sorted(row["id"] for row in found) == sorted(row[0] for row in site.database.rows(f"SELECT id::text FROM analytics_events WHERE is_internal = {internal} AND {condition}")), filters
    for wrong in ("' OR 1=1 --", "x", "7x", "9223372036854775808", "1.0"):
        status, answer = dashboard.json("/api/v1/events.csv", user=wrong)
        assert status == 400 and answer["kind"] == "request" and "user is a whole number" in answer["error"], wrong
    assert Dashboard(site, "dashboard.export_rows=0").get("/api/v1/events.csv")[0] == 403


def test_raw_events_of_one_user_are_found_by_an_index(make_site):
    """Where a table is read whole only if nothing else is left, an index by users is taken for a user, one by sessions for a session (one of few
    events: of nine in so small a table, Postgres 17 takes the index by time)."""
    site = ready(make_site)
    site.send([event("doc_generation", created_us=now_us() - DAY_US, session_id="alone")])
    site.drain()
    dashboard = Dashboard(site, f"postgres.dsn={extensions.make_dsn(site.database.dsn, options='-c enable_seqscan=off')}")

    def scans(column):
        return site.database.value(f"SELECT sum(idx_scan)::int FROM pg_stat_user_indexes WHERE indexrelname LIKE '%%{column}%%' AND relname LIKE 'analytics_events%%'")

    for column, query in (("user_id", "user=3"), ("session_id", "session=alone"), ("event_name", "name=doc_generation"), ("event_category", "category=usage")):
        before = scans(column)
        assert len(dashboard.get(f"/api/v1/events.csv?range=7d&who=all&{query}")[2].splitlines()) > 1
        wait_until(lambda column=column, before=before: scans(column) > before, 60, lambda column=column: f"an index of {column} to be used; used were " + str(
            site.database.rows("SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE relname LIKE 'analytics_events%%' AND idx_scan > 0 ORDER BY 1")))


def test_raw_events_of_any_size_are_sent_in_little_memory(make_site):
    """A thousand events of 60 KiB, and a hundred small ones behind them in the same table."""
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    at = now_us() // DAY_US * DAY_US - DAY_US
    texts = random.Random(11)
    site.send([event("large" if number < 1000 else "small", created_us=at + number, session_id="s", event_data={"text": texts.randbytes(30_000 if number < 1000 else 10).hex()}) for number in range(1100)])
    site.drain()
    dashboard = Dashboard(site)
    before = peak_kib(dashboard.program.pid)
    rows = list(csv.DictReader(io.StringIO(dashboard.get("/api/v1/events.csv?range=7d")[2].decode(), newline="")))
    assert len({row["id"] for row in rows}) == 1100 and sum(len(row["event_data"]) for row in rows) > 60_000_000
    assert peak_kib(dashboard.program.pid) - before < 40 * 1024, (before, peak_kib(dashboard.program.pid))


def peak_kib(pid):
    """The most memory that the process has had."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


class Swallow(Gate):
    """A gate in front of Postgres that swallows so many of an export's FETCHes, and whatever the server says of that later: it seems to work for ever."""

    left, held = 0, ()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if b"FETCH FORWARD" in data and self.left > 0:
                    self.held = (*self.held, sink)
                    self.left -= 1
                elif source not in self.held:
                    sink.sendall(data)
        if source not in self.held:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)


@pytest.mark.plain_servers("what is sent to Postgres is looked at")
def test_an_export_that_nobody_waits_for_any_more_ends(make_site):
    """Its client leaves while the server works, or the program ends: its thread and its place among the exports are free again."""
    site = ready(make_site)
    server = extensions.parse_dsn(site.database.dsn)
    gate = Swallow(server["host"], int(server["port"]))
    dashboard = Dashboard(site, f"postgres.dsn={extensions.make_dsn(site.database.dsn, host='127.0.0.1', port=gate.port)}")
    host, port = dashboard.address.split(":")

    def begun():
        gate.left = 1
        client = socket.create_connection((host, int(port)), 10)
        client.sendall(b"GET /api/v1/events.csv?range=7d&who=all HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: gate.left == 0, 60, "the export to ask for its first rows")
        return client

    clients = [begun(), begun()]
    assert dashboard.get("/api/v1/events.csv?range=7d")[0] == 503  # two are under way
    for client in clients:
        client.close()
    wait_until(lambda: dashboard.get("/api/v1/events.csv?range=7d", deadline=3)[0] == 200, 15, "the exports of those who left to end", (OSError,), is_promise=True)
    with begun():
        assert dashboard.program.stop() == 0


def test_an_operator_adds_a_panel_by_adding_a_file(site, tmp_path):
    folder = tmp_path / "panels"
    folder.mkdir()
    lines = "-- title: {0}\n-- sub: s\n-- tab: overview 1\n-- show: table\n-- unit: count\n-- good: up\n"
    (folder / "mine.sql").write_text(lines.format("Mine") + "SELECT 'a' AS name, 7 AS n;\n")
    (folder / "broken.sql").write_text(lines.format("Broken") + "SELEC 1")
    (folder / "divided.sql").write_text(lines.format("Divided") + "SELECT 1 / 0")
    (folder / "pie.sql").write_text(lines.format("Pie").replace("table", "pie") + "SELECT 1")
    (folder / "zoneless.sql").write_text(lines.format("Zoneless").replace("table", "classes") + "SELECT 1")
    dashboard = Dashboard(site, f"dashboard.panels={folder}")
    # Of the range before it fails, and of this one not: its rows stand.
    before = dashboard.page()[1]["range"]["before"]["first"]
    (folder / "once.sql").write_text(lines.format("Once") + f"SELECT 'a' AS name, 1 / (DATE :'first' - DATE '{before}') AS n")
    dashboard = Dashboard(site, f"dashboard.panels={folder}")
    panels, _ = dashboard.page()
    assert panels["mine"]["rows"] == [["a", 7]] and set(panels) == {"mine", "broken", "divided", "once"}
    assert panels["once"]["rows"] == [["a", 0]] and "trouble_kind" not in panels["once"] and "zero" in panels["once"]["before_trouble"]
    assert 'file="zoneless.sql"' in dashboard.program.log()
    assert panels["broken"]["trouble_kind"] == panels["divided"]["trouble_kind"] == "failed" and "zero" in panels["divided"]["trouble"]
    assert 'file="pie.sql"' in dashboard.program.log()


BY_MONTH = """SELECT date_trunc('month', day + %(shift)s * interval '1 day')::date::text, {} FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS day, session_id FROM analytics_events WHERE event_name = 'doc_generation') e
              WHERE day BETWEEN %(first)s::date AND %(last)s::date GROUP BY 1"""
EVEN = 600, [2] * 100  # each share is reached by a bucket exactly


def random_histogram(chance):
    """(first bucket, counts): of one bucket or many, with holes or without, of single events or of more than 2^31."""
    spans = ((-350, -350), (1046, 1046), (-350, 1046), (-20, 20), (chance.randrange(-350, 1000), 1046), (300, chance.randrange(300, 420)), (chance.randrange(600, 700), 720))
    first, last = chance.choice(spans)
    counts = [chance.choice((0, 0, 1, 1, chance.randrange(30), 2**chance.randrange(40))) for _ in range(first, last + 1)]
    return first, [counts[0] or 1, *counts[1:-1], *([counts[-1] or 1] if last > first else [])]


def percentile(histograms, part, digits):
    """The middle of the first bucket that reaches a part of all events, in whole hundredths; None: there are none."""
    added = collections.Counter()
    for first, counts in histograms:
        added.update({first + place: count for place, count in enumerate(counts)})
    below, total = 0, sum(added.values())
    for bucket in sorted(added):
        below += added[bucket]
        if below * 100 >= part * total:
            return float((decimal.Decimal("1.02") ** (decimal.Decimal(bucket) + decimal.Decimal("0.5"))).quantize(decimal.Decimal(1).scaleb(-digits), decimal.ROUND_HALF_UP))
    return None


def test_percentiles_are_those_of_the_histograms_added_bucket_by_bucket(make_site):
    """Of days that both kinds of users have, one of them or neither, and whose histogram is not computed yet; of a day that has one row of figures they are those."""
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    chance = random.Random(7)
    today = datetime.datetime.fromtimestamp(now_us() // 1_000_000, datetime.timezone.utc).date()
    days = [today - datetime.timedelta(number) for number in range(1, 13)]
    lasts = {"ttft": (50, 95, 99), "tpot": (50, 95, 99), "throughput": (50, 5, 1)}
    kept, languages = {}, {}
    with site.database.session() as connection, connection.cursor() as cursor:
        for who, twin in (("external", "analytics_daily"), ("internal", "analytics_internal_daily")):
            for source, metric, day in itertools.product(("performance", "doc_generation"), lasts, days):
                if chance.random() < 0.3 or (source == "performance" and metric == "tpot" and (who, day) != ("internal", days[3])):
                    continue
                first, counts = EVEN if source == "performance" else random_histogram(chance) if chance.random() < 0.9 else (None, None)
                kept[who, source, metric, day] = first, counts
                cursor.execute(f"INSERT INTO public.{twin}_llm (date, source, metric, events, p50, p95, p99, p05, p01) VALUES (%s, %s, %s, 1, 1.5, 2.5, 3.5, 0.5, 0.25)", (day, source, metric))
                if counts:
                    cursor.execute(f"INSERT INTO public.{twin}_llm_histogram (date, source, metric, first_bucket, counts) VALUES (%s, %s, %s, %s, %s)", (day, source, metric, first, counts))
            for language, day in itertools.product(("c", "sql", "täglich"), days):
                if chance.random() < 0.7:
                    languages[who, language, day] = first, counts = EVEN if language == "c" else random_histogram(chance)
                    cursor.execute(f"INSERT INTO public.{twin}_ttft_by_language (date, language, events, first_bucket, counts) VALUES (%s, %s, 1, %s, %s)", (day, language, first, counts))
    exact = {50: 1.5, 95: 2.5, 99: 3.5, 5: 0.5, 1: 0.25}
    for who, (first, last) in itertools.product(("external", "internal", "all"), ((11, 0), (5, 5), (7, 2))):
        panels, _ = Dashboard(site).page("system", range="custom", first=days[first], last=days[last], who=who, compare="off")
        chosen = days[last:first + 1]
        for metric, parts in lasts.items():
            expected = []
            for source in ("doc_generation", "performance"):
                of_source = {key: value for key, value in kept.items() if key[1:3] == (source, metric) and key[3] in chosen and who in (key[0], "all")}
                for day in (None, *sorted(chosen)):
                    found = [value for key, value in of_source.items() if day in (None, key[3])]
                    if found:
                        expected.append([source, day and str(day), *(exact[part] if len(found) == 1 else percentile([one for one in found if one[1]], part, 3) for part in parts), len(found) == 1])
            assert [[*row[:5], row[-1]] for row in panels[metric]["rows"]] == expected, (metric, who, chosen)
        by_language = {}
        for (population, language, day), histogram in languages.items():
            if day in chosen and who in (population, "all"):
                by_language.setdefault(language, []).append(histogram)
        assert {row[0]: row[1:] for row in panels["ttft_by_language"]["rows"]} == {
            language: [*(percentile(found, part, 1) for part in (50, 95)), sum(sum(counts) for _, counts in found)] for language, found in by_language.items()}, (who, chosen)


def test_a_month_is_compared_with_as_many_days_as_the_range_has_of_it(make_site):
    """More days than three months have, which mostly begin in the middle of one: the range before is cut at the same days, whatever its own months are."""
    site = make_site(**{"rollups.dir": "", "uniques.subjects": "", "window.oldest": "200 days"})
    today = now_us() // DAY_US * DAY_US
    days = 98    # whole weeks, by which the range before is the one just before
    first, last = (str(datetime.datetime.fromtimestamp((today - day * DAY_US) // 1_000_000, datetime.timezone.utc).date()) for day in (days, 1))
    site.send(event("doc_generation", event_category="usage", created_us=today - day * DAY_US + number, session_id=f"s{day // 5}", user_id=day // 3, event_data={"success": number % 2 == 0})
              for day in range(1, 2 * days + 1) for number in range(1 + day % 3))
    site.drain(deadline=180)
    site.fold(deadline=300)
    panels, page = Dashboard(site).page(range="custom", first=first, last=last, grain="month")
    before = page["range"]["before"]
    with site.database.session() as connection, connection.cursor() as cursor:
        for name, what in (("generations", "count(*)"), ("sessions", "count(DISTINCT session_id)")):
            cursor.execute(BY_MONTH.format(what), {"shift": days, "first": before["first"], "last": before["last"]})
            expected = dict(cursor.fetchall())
            assert {bucket: value for bucket, value in panels[name]["before"] if bucket} == expected and len(expected) >= 4, name
            assert sorted(expected) == [bucket for bucket, _ in panels[name]["rows"] if bucket], name


def test_uniques_of_days_whose_keys_are_dropped_are_called_at_most(make_site):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    site.send([*made(), event("login", created_us=now_us() - 12 * DAY_US, session_id="old")])
    site.drain()
    site.fold()
    dashboard = Dashboard(site)
    panels, _ = dashboard.page(range="7d")
    assert not panels["sessions"].get("at_most") and not panels["sessions"].get("before_at_most")
    today = datetime.datetime.fromtimestamp(now_us() // 1_000_000, datetime.timezone.utc).date()
    site.database.run(f"BEGIN; SELECT tallymill.keep_uniques_from('{today - datetime.timedelta(2)}'); COMMIT")
    panels, _ = dashboard.page(range="7d")
    assert panels["sessions"]["at_most"] and panels["funnel"]["at_most"] and not panels["generations"].get("at_most")
    days = {"range": "custom", "first": today - datetime.timedelta(2), "last": today - datetime.timedelta(1)}
    panels, _ = dashboard.page(**days)
    assert not panels["sessions"].get("at_most") and panels["sessions"]["before_at_most"]


def test_an_event_that_is_called_like_a_subject_has_no_figure_of_that(make_site):
    site = ready(make_site)
    at = now_us() - DAY_US
    site.send([event(name, created_us=at, event_category="usage", session_id="x") for name in ("*", "stage:doc_export", "category:usage")] + [event("oauth_flow", created_us=at, event_category="usage", session_id=None, user_id=None)])
    site.drain()
    site.fold()
    rows = {row[0]: row[1:] for row in Dashboard(site).page(range="7d")[0]["events"]["rows"]}
    assert [rows[name] for name in ("*", "stage:doc_export", "category:usage")] == [[1, None, None]] * 3
    assert rows["oauth_flow"] == [1, 0, 0] and rows["doc_generation"][1] == 9


def test_a_page_is_of_one_snapshot_however_many_connections_ask(site, tmp_path):
    """Two where Postgres lets a snapshot be shared, else one; the others' transactions go on meanwhile."""
    folder = tmp_path / "panels"
    folder.mkdir()
    for number in range(12):
        (folder / f"one_{number}.sql").write_text(f"-- title: t\n-- sub: s\n-- tab: overview {number + 1}\n-- show: table\n-- unit: count\n-- good: up\n-- compare: no\n"
            "SELECT pg_current_snapshot()::text AS snapshot, pg_backend_pid() AS pid, current_setting('max_parallel_workers_per_gather') AS parallel, pg_sleep(0.1)::text")
    site.fold()
    site.log_in_as(f"reader_{site.topic.replace('-', '_')}")
    dashboard = Dashboard(site, f"dashboard.panels={folder}")
    over = threading.Event()

    def write():
        with site.database.session() as connection, connection.cursor() as cursor:
            while not over.is_set():  # ends with the test
                cursor.execute("SELECT pg_current_xact_id()")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for askers, change in ((2, "SELECT"), (1, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() FROM PUBLIC")):
            site.database.run(change)
            seen = []
            for _ in range(2):
                panels, _ = dashboard.page()
                rows = [panels[f"one_{number}"]["rows"][0] for number in range(12)]
                assert len({row[0] for row in rows}) == 1 and len({row[1] for row in rows}) == askers and {row[2] for row in rows} == {"0"}, rows
                seen.append(rows[0][0])
            assert seen[0] != seen[1]
    finally:
        over.set()
        writer.join()


def test_a_database_that_is_slow_costs_a_page_its_panels_and_nobody_minutes(make_site):
    """What was not asked within the page's time says so in its own place; the next page is whole again."""
    site = ready(make_site)
    dashboard = Dashboard(site)
    with site.database.session() as locker, locker.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE public.analytics_daily_generations, public.analytics_daily_conversions, public.analytics_daily_uniques, public.analytics_daily_breakdowns IN ACCESS EXCLUSIVE MODE")
        panels, _ = dashboard.page()
        kinds = [panel.get("trouble_kind") for panel in panels.values()]
        assert 1 <= kinds.count("slow") <= 8 and kinds.count("unasked") > 4, kinds  # two ask, each what 15 s hold of 5 s
        cursor.execute("ROLLBACK")
    assert {panel.get("trouble_kind") for panel in dashboard.page()[0].values()} == {None}


def test_a_view_that_could_not_be_refreshed_is_told(site):
    site.database.run("INSERT INTO tallymill.refreshes (view, started_at, took_us, error) VALUES ('analytics_view_daily', now() - interval '2 hours', 1, NULL), ('analytics_view_daily', now() - interval '1 hour', 1, 'no room'), "
                      "('analytics_view_funnel', now() - interval '2 hours', 1, 'no room'), ('analytics_view_funnel', now() - interval '1 hour', 1, NULL)")
    (told,) = Dashboard(site).pipeline()["views"]
    assert told["view"] == "analytics_view_daily" and told["error"] == "no room" and 3500 < told["ago_s"] < 4000 and 7000 < told["good_s"] < 8000


def test_the_pipeline_is_told_as_the_books_say_and_live(make_site):
    site = make_site(partitions=2)
    dashboard = Dashboard(site)
    dashboard.wait_for("the empty books", lambda: dashboard.pipeline()["books"]["verdict"] == "ok")
    worker = site.worker()
    site.send(made())
    site.publisher.send_bytes(b"\xc1", b"x")
    site.publisher.flush()
    site.wait_until_drained()
    facts = dashboard.pipeline()
    assert sum(one["next_offset"] for one in facts["topic_partitions"]) == 241 and facts["dead_letters"] == [{"reason": "format", "count": 1, "replayed": 0, "recent": 1, "latest": facts["dead_letters"][0]["latest"]}]
    assert facts["postgres"] is None and facts["failed"] == {} and len(facts["months"]) >= 3
    rows = wait_until(lambda: [row for row in dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"] if row[1]], 60, "a row in which something was stored")
    assert sum(row[1] for row in rows) > 0
    newest = dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"][-1][0]
    later = dashboard.json("/api/v1/pipeline/live", since=newest)[1]["rows"]  # waits for the next one
    assert later and later[0][0] > newest
    lately = dashboard.json("/api/v1/pipeline/live", seconds=900)[1]  # by the server's clock, whatever the asker's shows
    assert lately["rows"] and lately["rows"][0][0] > lately["at"] - 900_000 and dashboard.get("/api/v1/pipeline/live.csv?seconds=900")[2].count(b"\r\n") > len(lately["rows"])
    for odd in ("x", "-5", "99999999999999999999"):
        assert dashboard.json("/api/v1/pipeline/live", seconds=odd)[1]["rows"], odd
    wait_until(lambda: all(lag == 0 for lag in map(int.__sub__, dashboard.pipeline()["kafka"]["ends"],
               [one["next_offset"] for one in dashboard.pipeline()["topic_partitions"]])), 30, "no lag")
    assert worker.stop() == 0
    assert dashboard.program.stop() == 0


def test_the_pipeline_knows_commit_times_the_disk_and_28_days_and_gives_them_away(make_site):
    site = make_site(partitions=2)
    worker = site.worker("--set", "metrics.listen=127.0.0.1:0")
    address = Monitor(worker).address
    with socket.create_server(("127.0.0.1", 0)) as stranger:  # takes connections, and says nothing
        silent = f"127.0.0.1:{stranger.getsockname()[1]}"
        dashboard = Dashboard(site, f"dashboard.workers={address} {silent}  127.0.0.1:1")
        names = [one["address"] for one in dashboard.wait_for("the first look at the workers", lambda: (lambda found: found if all(one["trouble"] for one in found[1:]) else None)(dashboard.pipeline()["workers"]))]
        assert names == [address, silent, "127.0.0.1:1"]
        rows = wait_until(lambda: (site.send(made(1)), [row for row in dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"] if row[6] is not None])[1], 60, "times of commits")
        assert 0 < rows[0][6] <= rows[0][7]
    site.wait_until_drained()
    facts = dashboard.pipeline()
    assert [bool(one["trouble"]) for one in facts["workers"]] == [False, True, True]
    room = facts["room"]
    assert 0 < room["free_bytes"] < room["size_bytes"] and room["room"] in ("roomy", "soon", "short")
    hours = dashboard.json("/api/v1/pipeline/rates.json")[1]
    assert sum(row[hours["columns"].index("stored")] for row in hours["rows"]) == site.database.value("SELECT count(*) FROM analytics_events") > 0
    # Each table as a file, and the query that it is asked by.
    for name in ("topic_partitions", "months", "rollups", "views", "days", "gaps", "dead_letters", "rates", "positions", "statistics", "troubles", "disk"):
        status, headers, body = dashboard.get(f"/api/v1/pipeline/{name}.csv")
        assert status == 200 and f'filename="{name}.csv"' in headers["Content-Disposition"]
        table = list(csv.reader(io.StringIO(body.decode(), newline="")))
        with site.database.session() as connection, connection.cursor() as cursor:
            cursor.execute(dashboard.get(f"/api/v1/pipeline/{name}.sql")[2].decode().replace("%", "%%"), ())
            assert table[0] == [column.name for column in cursor.description] and len(table) - 1 == cursor.rowcount, name
    status, headers, body = dashboard.get("/api/v1/pipeline/live.csv")
    assert status == 200 and body.startswith(b"at,stored_per_s,") and len(body.splitlines()) > 1 and b"nan" not in body
    for path in ("none.csv", "months", "months.txt", ".csv", "live.sql", "../page/overview"):
        assert dashboard.get(f"/api/v1/pipeline/{path}")[0] == 404, path
    for wrong in ("127.0.0.1", "127.0.0.1:9464,127.0.0.1:9465", " ".join(["127.0.0.1:1"] * 257)):
        for more in ((), ("--check",)):
            refused = site.tallymill("dashboard", "--set", f"dashboard.workers={wrong}", *more)
            assert refused.code == 2 and "dashboard.workers" in refused.err, refused
    assert worker.stop() == 0 and dashboard.program.stop() == 0
