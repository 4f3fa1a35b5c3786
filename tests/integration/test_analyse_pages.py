"""The queries of docs/analyse give what counting the events gives: read from the pages as they stand, with a tool's variables filled in as its manual says."""

import datetime
import random
import re

from .harness.program import ROOT, run
from .harness.publisher import event

FOLDER = ROOT / "docs" / "analyse"
PAGE = FOLDER / "uniques.md"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
LENGTH = 40
STAGES = {"stage:session_start": ("session_start",), "stage:code_input": ("code_input",), "stage:generation_started": ("generation_started", "doc_generation"),
          "stage:generation_completed": ("generation_completed",), "stage:doc_export": ("doc_export",)}


DAY = "(created_at AT TIME ZONE 'UTC')::date"
RAW = f"FROM analytics_events WHERE NOT is_internal AND {DAY} BETWEEN '{{first}}' AND '{{last}}'"
STARTED, COMPLETED = "('generation_started', 'doc_generation')", "event_name = 'generation_completed' OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')"
# The queries of queries.md, asked of the raw events.
COUNTED = {
    "counts": f"SELECT {DAY}, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id) {RAW} GROUP BY 1, 2 ORDER BY 1, 2",
    "weeks": f"SELECT date_trunc('week', {DAY}::timestamp)::date, event_name, count(*) {RAW} GROUP BY 1, 2 ORDER BY 1, 2",
    "months": f"SELECT date_trunc('month', {DAY}::timestamp)::date, event_name, count(*) {RAW} GROUP BY 1, 2 ORDER BY 1, 2",
    "funnel": f"""SELECT {DAY}, count(DISTINCT session_id) FILTER (WHERE event_name = 'session_start'), count(DISTINCT session_id) FILTER (WHERE event_name = 'code_input'),
                         count(DISTINCT session_id) FILTER (WHERE event_name IN {STARTED}), count(DISTINCT session_id) FILTER (WHERE {COMPLETED}),
                         count(DISTINCT session_id) FILTER (WHERE event_name = 'doc_export') {RAW} GROUP BY 1 ORDER BY 1""",
    "breakdown": f"SELECT event_data ->> 'language', count(*) {RAW} AND event_name = 'doc_generation' AND event_data ? 'language' GROUP BY 1 ORDER BY 2 DESC, 1",
    "figures": f"""SELECT s, t, c, o, round(100 * c::numeric / nullif(t, 0), 1) FROM (SELECT count(*) FILTER (WHERE event_name = 'signup') AS s,
                          count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'started') AS t,
                          count(*) FILTER (WHERE event_name = 'trial' AND event_data ->> 'action' = 'converted') AS c,
                          count(*) FILTER (WHERE event_name = 'checkout_completed') AS o {RAW}) f""",
    "people": f"SELECT count(DISTINCT user_id) {RAW}",
    "raw": f"SELECT {DAY}, event_data ->> 'format', count(*) {RAW} AND event_name = 'doc_export' GROUP BY 1, 2 ORDER BY 1, 2",
}


def queries(page=PAGE):
    return dict(re.findall(r"```sql (\w+)\n(.*?)```", page.read_text(), re.DOTALL))


def federated(sql, first, last):
    """What BigQuery hands to Postgres."""
    inner = re.fullmatch(r"SELECT \* FROM EXTERNAL_QUERY\('[\w.]+', '''\n(.*)\n'''\);\n", sql, re.DOTALL)
    return inner.group(1).replace("'2026-11-01'", f"'{first}'").replace("'2026-11-30'", f"'{last}'")


# Page: how its tool fills in the first and the last day.
TOOLS = {
    "queries.md": lambda sql, first, last: sql.replace(":'first'", f"'{first}'").replace(":'last'", f"'{last}'"),
    "metabase.md": lambda sql, first, last: sql.replace("{{first}}", f"date '{first}'").replace("{{last}}", f"date '{last}'"),
    "superset.md": lambda sql, first, last: sql.replace("{{ from_dttm[:10] }}", str(first)).replace("{{ to_dttm[:10] }}", str(last + datetime.timedelta(days=1))),
    "grafana.md": lambda sql, first, last: sql.replace("$__timeFrom()", f"'{first}T00:00:00Z'").replace("$__timeTo()", f"'{last}T23:59:59.999Z'"),
    "bigquery.md": federated,
}


def test_the_pages_of_the_tools_are_what_their_script_makes():
    assert run([str(FOLDER / "make.py"), "--check"]).code == 0, "run docs/analyse/make.py"


def test_each_query_of_each_tools_page_equals_the_raw_events(make_site):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    assert site.produce("--generate", "6000", "--seed", "5", "--days", "12").code == 0
    site.drain()
    site.fold()
    first, last = TODAY - datetime.timedelta(days=9), TODAY - datetime.timedelta(days=1)
    counted = {name: site.database.rows(sql.format(first=first, last=last).replace("%", "%%")) for name, sql in COUNTED.items()}
    assert all(counted.values()) and len(counted["counts"]) > 50 and counted["people"][0][0] > 10
    for page, fill in TOOLS.items():
        found = {name: sql for name, sql in queries(FOLDER / page).items() if not name.endswith("_files")}
        assert set(found) == set(COUNTED), page
        for name, sql in found.items():
            filled = fill(sql, first, last)
            assert not re.search(r"[{$]", filled), filled  # nothing is left for the tool to fill in
            assert site.database.rows(filled.replace("%", "%%")) == counted[name], (page, name)


def made(source):
    """{day: {(user, session, name), ...}}: external ones; a few internal ones beside them are in nobody's count."""
    seen = {}
    for ago in range(LENGTH):
        day = TODAY - datetime.timedelta(days=ago)
        seen[day] = {(source.randrange(1, 30), f"s{source.randrange(60)}", source.choice(("session_start", "code_input", "doc_generation", "doc_export", "login")))
                     for _ in range(source.randrange(0, 12))}
    return seen


def at(day, number):
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000 + number


def test_each_query_of_the_page_of_uniques_equals_a_count_by_hand(make_site):
    seen = made(random.Random(7))
    site = make_site(**{"uniques.subjects": ""})
    site.send(event(name, at(day, number), user_id=user, session_id=session) for day, rows in seen.items() for number, (user, session, name) in enumerate(sorted(rows)))
    site.send(event("login", at(day, 99), user_id=77, session_id="staff", is_internal=True) for day in list(seen)[::5])
    site.drain()
    site.fold()
    first, last = TODAY - datetime.timedelta(days=33), TODAY - datetime.timedelta(days=2)
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]

    def users(begin, end):
        return {user for day, rows in seen.items() for user, _, _ in rows if begin <= day <= end}

    def ask(name):
        return site.database.rows(queries()[name].replace(":'first'", f"'{first}'").replace(":'last'", f"'{last}'").replace("%", "%%"))

    def back(day, count):
        return len(users(day, day) & users(day + datetime.timedelta(days=1), day + datetime.timedelta(days=count)))

    assert set(queries()) == {"range", "new", "active", "retention", "weeks", "funnel"}
    assert ask("range") == [(len(users(first, last)),)]
    before = [users(min(seen), day - datetime.timedelta(days=1)) for day in days]
    assert ask("new") == [(day, len(users(day, day) - old), len(users(day, day) & old)) for day, old in zip(days, before) if seen[day]]
    active = [tuple(len(users(day - datetime.timedelta(days=count - 1), day)) for count in (1, 7, 28)) for day in days]
    assert [row[:4] for row in ask("active")] == [(day, *counts) for day, counts in zip(days, active)]
    assert [float(row[4]) for row in ask("active")] == [round(daily / monthly, 3) for daily, _, monthly in active]
    assert ask("retention") == [(day, len(users(day, day)), back(day, 1), back(day, 7), back(day, 28)) for day in days if seen[day]]
    weeks = sorted({day - datetime.timedelta(days=day.weekday()) for day in days})
    assert ask("weeks") == [(max(week, first), len(users(max(week, first), min(week + datetime.timedelta(days=6), last)))) for week in weeks]
    reached = {stage: len({session for day in days for _, session, name in seen[day] if name in names}) for stage, names in STAGES.items()}
    assert ask("funnel") == sorted((stage, count) for stage, count in reached.items() if count)
