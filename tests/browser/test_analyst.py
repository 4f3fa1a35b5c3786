"""Ten questions of somebody who knows no SQL, answered by what the page shows, read from it as it stands there; each answer equals SQL over the raw events.

By name: `tests/run browser`.
"""

import datetime
import re

import pytest

from integration.harness.dashboard import Dashboard
from integration.harness.publisher import now_us

from .made import generated

STAGES = ["event_name = 'session_start'", "event_name = 'code_input'", "event_name IN ('generation_started', 'doc_generation')",
          "(event_name = 'generation_completed' OR event_name = 'doc_generation' AND event_data->'success' = 'true')", "event_name = 'doc_export'"]


def number(text):
    return float(re.sub(r"[^0-9.]", "", text.split(" ")[0] if " " in text else text))


class Page:
    """A generated site with its page: `look` has the browser go somewhere and read, `ask` asks the raw events of a range."""

    def __init__(self, driver, site):
        self.driver, self.site, self.dashboard = driver, site, Dashboard(site)
        self.today = datetime.datetime.fromtimestamp(now_us() // 1_000_000, datetime.timezone.utc).date()

    def look(self, path, *steps):
        seen, = self.driver(address=self.dashboard.address, views=[{"name": path, "path": path, "steps": list(steps)}])
        assert seen["errors"] == [] and seen["violations"] == [], seen
        return seen["read"]

    def ask(self, what, days=28, shift=0, condition="true", rest=""):
        last = self.today - datetime.timedelta(shift)
        return self.site.database.rows(f"SELECT {what} FROM analytics_events WHERE NOT is_internal AND created_at >= %s AND created_at < %s AND {condition} {rest}",
                                       f"{last - datetime.timedelta(days)} 00:00+00", f"{last} 00:00+00")


@pytest.fixture
def page(driver, make_site):
    return Page(driver, generated(make_site, days=45))


def how_many_people_exported_last_week_against_the_week_before(page):
    now, before = page.look("/?tab=workflow&range=7d", ["title", "[data-panel=exporting_users]"], ["title", "[data-panel=exporting_users] .change"])
    people = "count(DISTINCT user_id)"
    assert number(now) == page.ask(people, 7, 0, STAGES[4])[0][0] > 0
    assert number(before.removeprefix("before: ")) == page.ask(people, 7, 7, STAGES[4])[0][0]
    return f"{now} ({before})"


def which_language_has_the_slowest_first_token(page):
    language, median = page.look("/?tab=system", ["title", "[data-panel=ttft_by_language] tbody tr:first-child td:nth-child(1) .foreign"], ["title", "[data-panel=ttft_by_language] tbody tr:first-child td:nth-child(2)"])
    medians = dict(page.ask("event_data->>'language', percentile_disc(0.5) WITHIN GROUP (ORDER BY (event_data#>>'{llm,latency,ttft}')::numeric)::float8",
                            condition="event_name = 'doc_generation' AND event_data#>>'{llm,latency,ttft}' IS NOT NULL", rest="GROUP BY 1"))
    assert number(median) == pytest.approx(medians[language], rel=0.0101) and medians[language] >= 0.98 * max(medians.values()), (language, median, medians)
    return f"{language}: {median}"


def where_does_the_funnel_lose_most(page):
    stage, loss = page.look("/", ["read", "[data-panel=funnel] li:has(.loss) .funnel-name span"], ["read", "[data-panel=funnel] .loss"])
    counts = [page.ask("count(DISTINCT session_id)", condition=one)[0][0] for one in STAGES]
    losses = [before - after for before, after in zip(counts, counts[1:])]
    assert stage == ["code input", "generation started", "generation completed", "doc export"][losses.index(max(losses))]
    assert number(re.search(r"[0-9,]+", loss).group()) == max(losses)
    return f"before {stage}: {loss}"


def how_many_python_sessions_end_with_an_export(page):
    rows, share, address = page.look("/", ["click", "[data-panel=languages] .pick:has(bdi[title=python])"], ["wait", "[data-panel=funnel_of_language]"], ["rows", "[data-panel=funnel_of_language] .funnel-name"],
                                     ["read", "[data-panel=funnel_of_language] li:last-child .soft"], ["address"])
    spoken = "(created_at::date, session_id) IN (SELECT created_at::date, session_id FROM analytics_events WHERE NOT is_internal AND event_name IN ('code_input', 'doc_generation') AND event_data->>'language' = 'python')"
    expected = [page.ask("coalesce(sum(n), 0)::int FROM (SELECT count(DISTINCT session_id) AS n", condition=f"{stage} AND {spoken}", rest="GROUP BY created_at::date) d")[0][0] for stage in STAGES]
    assert [number(row[1]) for row in rows] == expected and expected[0] > expected[4] > 0
    assert f"{100 * expected[4] / expected[0]:.1f}" in share.split("·")[1] and address == "?language=python"
    return f"{expected[4]} of {expected[0]}"


def how_much_revenue_and_which_plan_brings_most(page):
    revenue, plan = page.look("/?tab=business", ["title", "[data-panel=revenue]"], ["rows", "[data-panel=plans] tbody tr"])
    amounts = dict(page.ask("event_data->>'tier', sum((event_data->>'amount')::numeric)::float8", condition="event_name = 'checkout_completed' AND jsonb_typeof(event_data->'amount') = 'number'", rest="GROUP BY 1"))
    assert number(revenue.replace("$", "").replace("\u202f", "")) == pytest.approx(sum(amounts.values()), abs=0.005) and revenue.startswith("$")
    most = plan[0]
    assert amounts[most[0]] == max(amounts.values())
    return f"{revenue}, most by {most[0]}"


def at_which_page_do_most_sessions_land(page):
    value, count = page.look("/?tab=workflow", ["title", "[data-panel=landing_pages] li:first-child .foreign"], ["title", "[data-panel=landing_pages] li:first-child b"])
    (expected, most), = page.ask("event_data->>'landing_page', count(*)", condition="event_name = 'session_start'", rest="GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
    assert (value, number(count)) == (expected, most)
    return f"{value}: {count}"


def which_error_is_the_most_frequent(page):
    rows, = page.look("/?tab=system", ["rows", "[data-panel=errors_by_type] tbody tr"])
    (expected, most, sessions), = page.ask("event_data->>'error_type', count(*), count(DISTINCT session_id)", condition="event_name = 'error'", rest="GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
    assert rows[0][0] == expected and number(rows[0][1]) == most
    return f"{rows[0][0]}: {rows[0][1]}"


def how_many_of_those_who_came_three_weeks_ago_were_there_the_week_after(page):
    monday = page.today - datetime.timedelta(page.today.weekday() + 21)
    name = f"{monday:%b} {monday.day}"
    title, = page.look("/", ["title", f"[data-panel=retention] tr:has(th:text-is('{name}')) td.heat:nth-of-type(3)"])
    size, back = page.site.database.rows("""
        WITH weeks AS (SELECT DISTINCT user_id, date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week FROM analytics_events WHERE NOT is_internal AND user_id IS NOT NULL),
             firsts AS (SELECT user_id, min(week) AS week FROM weeks GROUP BY 1)
        SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM weeks w WHERE w.user_id = f.user_id AND w.week = f.week + 7)) FROM firsts f WHERE f.week = %s""", monday)[0]
    assert title.startswith(f"{back:,} of {size:,} users, week 1"), (title, back, size)
    return title


def which_share_of_first_tokens_was_slow(page):
    classes, source = page.look("/?tab=system", ["read", "[data-panel=ttft] .class-names li:nth-child(4)"], ["read", "[data-panel=ttft] .switch [aria-pressed=true]"])
    path, name = ("{llm,latency,ttft}", "doc_generation") if source == "generations" else ("{latency,ttft}", "performance")
    (slow, all_of_them), = page.ask(f"count(*) FILTER (WHERE (event_data#>>'{path}')::numeric > 2000), count(event_data#>>'{path}')", condition=f"event_name = '{name}'")
    assert classes.startswith("slow ") and number(classes.removeprefix("slow ")) == round(100 * slow / all_of_them)
    return f"{classes}, of {source}"


def in_which_hour_of_today_was_most_going_on(page):
    rows, = page.look("/?range=today", ["click", "[data-panel=today_by_hour] >> text=Table"], ["wait", "dialog[open] table"], ["rows", "dialog tbody tr"])
    events = dict(page.ask("extract(hour FROM created_at AT TIME ZONE 'UTC')::int, count(*)", 1, -1, rest="GROUP BY 1"))
    assert {int(row[0]): number(row[1]) for row in rows if row[1] and number(row[1])} == events
    hour = max(rows, key=lambda row: number(row[1] or "0"))
    return f"{hour[0]}:00 UTC, {hour[1]} events"


def test_ten_questions_are_answered_by_the_page_alone(page):
    for question in (how_many_people_exported_last_week_against_the_week_before, which_language_has_the_slowest_first_token, where_does_the_funnel_lose_most, how_many_python_sessions_end_with_an_export,
                     how_much_revenue_and_which_plan_brings_most, at_which_page_do_most_sessions_land, which_error_is_the_most_frequent, how_many_of_those_who_came_three_weeks_ago_were_there_the_week_after,
                     which_share_of_first_tokens_was_slow, in_which_hour_of_today_was_most_going_on):
        print(f"{question.__name__.replace('_', ' ')}? {question(page)}")
