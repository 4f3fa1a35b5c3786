"""The page in Chromium: figures that equal raw SQL, nothing that the browser complains of, nothing that looks accidental, at three widths, light and dark.

By name: `tests/run browser`. Pictures of every state go to build/screenshots, to be looked at by eye; `--update-pictures` writes the three of docs/pictures.
"""

import datetime
import json
import random

import pytest

from integration.harness.dashboard import Dashboard
from integration.harness.program import ROOT
from integration.harness.publisher import event, now_us
from integration.harness.waiting import wait_until

PICTURES = ROOT / "build" / "screenshots"
SIZES = (390, 768, 1360)
TABS = ("overview", "workflow", "business", "usage", "system")
DAY_US = 86_400_000_000
HOSTILE = ["<script>window.ran=1</script>", "<img src=x onerror=window.ran=1>", "\u202egnissecorp", "=cmd|' /C calc'!A0", "e" + "\u0301" * 90, "a" * 100, "'; DROP TABLE x; --", "${7*7}{{7*7}}"]
# What is committed: (name, path, width, height, scheme, what to wait for).
SHOWN = [("overview", "/?range=7d", 1360, 985, "light", ".card"), ("pipeline", "/?page=pipeline", 1360, 985, "dark", "#top"), ("phone", "/?range=7d", 390, 844, "dark", ".card")]
RANGES = {"7d": {}, "28d": {}, "91d": {"grain": "day"}, "today": {}, "custom": {}}


@pytest.fixture(scope="module", autouse=True)
def folder():
    PICTURES.mkdir(parents=True, exist_ok=True)


def views(name, path, **more):
    """One look for each width and scheme."""
    return [{"name": f"{name}-{width}-{scheme}", "path": path, "width": width, "height": 900, "scheme": scheme, "picture": str(PICTURES / f"{name}-{width}-{scheme}.png"), **more}
            for width in SIZES for scheme in ("light", "dark")]


def assert_clean(seen, dashboard, despite=()):
    for one in seen:
        errors = [error for error in one["errors"] if not any(word in error for word in despite)]
        assert errors == [] and one["violations"] == [], one
        assert set(one["hosts"]) <= {dashboard.address}, one
        assert one.get("sideways", 0) <= 0 and one.get("overflowing", []) == [] and one.get("scripts", 0) == 0, (one["name"], one["sideways"], one["overflowing"])
        assert one.get("axe", []) == [], (one["name"], one["axe"])


def generated(make_site, days=14, count=40_000):
    """Days of generated events, internal users and late events among them, and names and values that a page might run."""
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    done = site.produce("--generate", str(count), "--days", str(days), "--seed", "7")
    assert done.code == 0, done
    source = random.Random(3)
    today = now_us() // DAY_US * DAY_US
    for number, text in enumerate(HOSTILE * 6):
        site.publisher.send(event(text if number < len(HOSTILE) else "doc_generation", created_us=today - source.randrange(1, days) * DAY_US - number, event_category="usage", session_id=text,
                                  is_internal=number % 5 == 0, event_data={"doc_type": text, "language": text, "success": True, "error_type": text}))
        site.publisher.send(event("error", created_us=today - DAY_US - number, event_category="system", session_id=text, event_data={"error_type": text}))
    site.publisher.flush()
    site.drain(deadline=180)
    site.fold(deadline=300)
    return site


@pytest.fixture
def full(make_site):
    return generated(make_site)


WHERE = {"external": "NOT is_internal", "internal": "is_internal", "all": "true"}


def raw(site, what, who, page, condition="true", group=""):
    first, last = page["range"]["first"], page["range"]["last"]
    return site.database.rows(f"""SELECT {what} FROM analytics_events WHERE created_at >= '{first} 00:00+00' AND created_at < ('{last} 00:00+00'::timestamptz + interval '1 day')
                                  AND {WHERE[who]} AND {condition} {group}""")


COUNT = "count(*)"
NUMBERS = {
    "sessions": ("count(DISTINCT session_id)", "true"), "active_users": ("count(DISTINCT user_id)", "true"),
    "generations": (COUNT, "event_name = 'doc_generation'"), "signups": (COUNT, "event_name = 'signup'"),
    "success_rate": ("round(avg((event_data->'success' = 'true')::int), 6)", "event_name = 'doc_generation'"),
    "revenue": ("coalesce(sum((event_data->>'amount')::numeric), 0)", "event_name = 'checkout_completed' AND jsonb_typeof(event_data->'amount') = 'number'"),
    "trial_conversion": ("round(count(*) FILTER (WHERE event_data->>'action' = 'converted')::numeric / nullif(count(*) FILTER (WHERE event_data->>'action' = 'started'), 0), 6)", "event_name = 'trial'"),
    "checkout_rate": ("""round(count(*) FILTER (WHERE event_name = 'checkout_completed')::numeric / nullif(count(*) FILTER (WHERE event_data->>'action' = 'checkout_started'), 0), 6)""",
                      "event_name IN ('checkout_completed', 'user_interaction')"),
    "upgrades": (COUNT, "event_name = 'tier_change' AND event_data->>'action' = 'upgrade'"), "cancels": (COUNT, "event_name = 'tier_change' AND event_data->>'action' = 'cancel'"),
    "error_events": (COUNT, "event_name = 'error'"), "batches": (COUNT, "event_name = 'batch_generation'"), "code_inputs": (COUNT, "event_name = 'code_input'"),
    "exports": (COUNT, "event_name = 'doc_export'"), "all_events": (COUNT, "true"),
    "exporting_sessions": ("count(DISTINCT session_id)", "event_name = 'doc_export'"), "sessions_with_errors": ("count(DISTINCT session_id)", "event_name = 'error'"),
    "oauth_success": ("round(count(*) FILTER (WHERE event_data->>'action' = 'completed')::numeric / nullif(count(*) FILTER (WHERE event_data->>'action' IN ('completed', 'failed')), 0), 6)", "event_name = 'oauth_flow'"),
    "batch_success": ("round(sum((event_data->>'success_count')::numeric) / nullif(sum((event_data->>'file_count')::numeric), 0), 6)", "event_name = 'batch_generation'"),
    "cache_hits": ("""round(count(*) FILTER (WHERE (coalesce(event_data->'cache', event_data#>'{llm,cache}')->>'read_tokens')::numeric > 0)::numeric / nullif(count(*), 0), 6)""",
                   "event_name IN ('performance', 'doc_generation') AND jsonb_typeof(coalesce(event_data->'cache', event_data#>'{llm,cache}')) = 'object'"),
}
LISTS = {"doc_types": ("doc_generation", "doc_type"), "languages": ("doc_generation", "language"), "origins": ("code_input", "origin"), "export_actions": ("doc_export", "action"),
         "export_formats": ("doc_export", "format"), "landing_pages": ("session_start", "landing_page"), "signup_methods": ("signup", "method"), "login_methods": ("login", "method"),
         "referrers": ("session_start", "referrer"), "signup_tiers": ("signup", "tier"), "cancel_reasons": ("tier_change", "reason"), "oauth_providers": ("oauth_flow", "provider"),
         "grades": ("quality_score", "grade"), "interactions": ("user_interaction", "action")}
STAGES = ["event_name = 'session_start'", "event_name = 'code_input'", "event_name IN ('generation_started', 'doc_generation')",
          "(event_name = 'generation_completed' OR event_name = 'doc_generation' AND event_data->'success' = 'true')", "event_name = 'doc_export'"]


def test_every_figure_equals_an_independent_query(full):
    """For five ranges and three populations. A panel whose table does not exist yet says so, and only then."""
    dashboard, compared, waiting = Dashboard(full), 0, set()
    has_referrers = full.database.value("SELECT strpos(query, 'referrer') > 0 FROM tallymill.rollups WHERE rollup = 'breakdowns'")
    day = datetime.datetime.fromtimestamp(now_us() // 1_000_000, datetime.timezone.utc).date()
    for name, more in RANGES.items():
        query = {"range": name, **more, **({"first": day - datetime.timedelta(9), "last": day - datetime.timedelta(3)} if name == "custom" else {})}
        for who in WHERE:
            panels, page = {}, None
            for tab in TABS:
                found, page = dashboard.page(tab, who=who, **query)
                panels.update(found)
            for panel in panels.values():
                if panel.get("trouble_kind"):
                    assert panel["trouble_kind"] in ("missing", "who"), panel
                    waiting.add(panel["name"])
            got = {panel: rows["rows"] for panel, rows in panels.items() if "rows" in rows}
            for panel, (what, condition) in NUMBERS.items():
                if panel in got:
                    (expected,), = raw(full, what, who, page, condition)
                    whole = next(row[1] for row in got[panel] if row[0] is None)
                    assert (whole or 0) == pytest.approx(float(expected or 0), abs=1e-6), (panel, who, name)  # nothing to add up is shown as 0, a rate of nothing as unknown
                    compared += 1
            for panel, (event_name, attribute) in LISTS.items():
                if panel in got and (panel != "referrers" or has_referrers):
                    expected = raw(full, f"event_data->>'{attribute}', count(*)", who, page, f"event_name = '{event_name}' AND jsonb_typeof(event_data->'{attribute}') IN ('string', 'number', 'boolean')", "GROUP BY 1")
                    assert sorted((value, count) for value, count in got[panel]) == sorted((value[:100], count) for value, count in expected), (panel, who, name)
                    compared += 1
            if "funnel" in got:
                assert [row[2] for row in got["funnel"]] == [raw(full, "count(DISTINCT session_id)", who, page, stage)[0][0] for stage in STAGES], (who, name)
                compared += 1
            if "events" in got:
                expected = {event_name: count for event_name, count in raw(full, "event_name, count(*)", who, page, group="GROUP BY 1")}
                assert {row[0]: row[1] for row in dashboard.page("overview", who=who, **query)[0]["events"]["rows"]} == expected, (who, name)
                compared += 1
    print(f"{compared} panels equal; waiting for tables: {', '.join(sorted(waiting))}")
    assert compared >= 5 * 25


def test_nothing_looks_accidental(driver, full, request):
    dashboard = Dashboard(full)
    worker = full.worker()
    wait_until(lambda: len(dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"]) >= 3, 60, "some rows of the pipeline")
    looks = [one for tab in TABS for one in views(tab, f"/?tab={tab}&range=7d", axe=True)] + views("pipeline", "/?page=pipeline", axe=True, wait="#top")
    seen = driver(address=dashboard.address, views=looks)
    assert_clean(seen, dashboard)
    shown = {one["name"]: one for one in seen}
    panels, page = dashboard.page("overview", range="7d")
    for name in ("generations", "signups"):
        figure = next(row[1] for row in panels[name]["rows"] if row[0] is None)
        assert (f"{figure:,}" if figure < 10_000 else f"{figure / 1000:.1f}\u202fk") in shown["overview-1360-light"]["panels"][name], shown["overview-1360-light"]["panels"][name]
    assert "Nothing is lost, nothing is stored twice." in shown["pipeline-1360-dark"]["text"]
    if request.config.getoption("--update-pictures"):
        driver(address=dashboard.address, views=[{"name": name, "path": path, "width": width, "height": height, "scheme": scheme, "full": False, "wait": wait,
                                                  "picture": str(ROOT / "docs" / "pictures" / f"dashboard-{name}.png")} for name, path, width, height, scheme, wait in SHOWN])
    print(json.dumps({one["name"]: one["first_ms"] for one in seen}))
    assert worker.stop() == 0


def test_a_link_restores_the_page_and_hands_find_their_way(driver, full):
    dashboard = Dashboard(full)
    steps = [["click", "[data-panel=generations]"], ["address"], ["read", "[data-panel=main] h2"], ["click", "button:text-is('Workflow')"], ["wait", "[data-panel=code_inputs]"], ["address"],
             ["back"], ["wait", "[data-panel=signups]"], ["address"], ["click", "button:text-is('7d')"], ["click", "button:text-is('All')"], ["address"], ["key", "5"], ["wait", "[data-panel=error_events]"], ["address"],
             ["key", "?"], ["wait", "dialog[open]"], ["read", "dialog h2"], ["key", "Escape"], ["key", "p"], ["wait", "#top"], ["address"], ["key", "p"], ["wait", "[data-panel=error_events]"],
             ["click", "[data-panel=errors_by_type] >> text=SQL"], ["read", "dialog pre"], ["key", "Escape"], ["click", "[data-panel=errors_by_type] >> text=Table"], ["read", "dialog table"], ["key", "Escape"],
             ["focus", "[data-panel=main] .chart"], ["key", "ArrowLeft"], ["read", "#tip"], ["key", "Escape"], ["key", "t"]]
    drag = [["click", "[data-panel=generations]"], ["drag", "[data-panel=main] .u-over", 0.3, 0.6], ["wait", ".ranges >> text=–"], ["address"]]
    (seen, dragged) = driver(address=dashboard.address, views=[{"name": "walk", "path": "/", "steps": steps}, {"name": "drag", "path": "/?range=28d", "steps": drag}])
    assert_clean([seen, dragged], dashboard)
    read = seen["read"]
    assert read[:2] == ["?kpi=generations", "Generations"] and "tab=workflow" in read[2] and read[3] == "?kpi=generations"
    assert "range=7d" in read[4] and "who=all" in read[4] and "tab=system" in read[5] and read[6] == "Keys" and "page=pipeline" in read[7]
    assert "analytics_daily_errors" in read[8] and "error type" in read[9] and read[10]
    assert "range=custom" in dragged["read"][0] and "first=" in dragged["read"][0]


def test_states_that_are_not_the_usual_ones(driver, make_site):
    """No events, one day, no errors, a name of 100 bytes, Postgres away."""
    empty = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    dashboard = Dashboard(empty)
    assert_clean(driver(address=dashboard.address, views=views("empty", "/") + views("empty-pipeline", "/?page=pipeline", wait="#top")), dashboard)
    today = now_us() // DAY_US * DAY_US
    for number in range(60):
        empty.publisher.send(event("doc_generation" if number else "n" * 100, created_us=today - DAY_US + number * 1_000_000, event_category="usage", session_id=f"s{number % 7}", user_id=number % 5,
                                   event_data={"success": number % 3 > 0, "doc_type": "README", "language": "x" * 100 if number == 1 else "c", "llm": {"latency": {"ttft": 700, "tpot": 25}}}))
    empty.publisher.flush()
    empty.drain()
    empty.fold()
    assert_clean(driver(address=dashboard.address, views=views("one-day", "/?range=7d") + views("one-day-usage", "/?range=7d&tab=usage")), dashboard)
    gone = Dashboard(empty, "postgres.dsn=host=127.0.0.1 port=1 connect_timeout=2")
    seen = driver(address=gone.address, views=views("postgres-away", "/") + views("postgres-away-pipeline", "/?page=pipeline", wait="#top"))
    assert_clean(seen, gone, despite=("503",))
    assert all("Postgres does not answer" in one["text"] for one in seen)
