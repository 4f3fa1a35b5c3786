"""The queries of docs/analyse/uniques.md give what counting the events by hand gives: read from the pages as they stand."""

import datetime
import random
import re

from .harness.program import ROOT
from .harness.publisher import event

PAGE = ROOT / "docs" / "analyse" / "uniques.md"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
LENGTH = 40
STAGES = {"stage:session_start": ("session_start",), "stage:code_input": ("code_input",), "stage:generation_started": ("generation_started", "doc_generation"),
          "stage:generation_completed": ("generation_completed",), "stage:doc_export": ("doc_export",)}


def queries():
    return dict(re.findall(r"```sql (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


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
