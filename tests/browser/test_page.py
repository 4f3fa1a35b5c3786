"""The page in Chromium: figures that equal raw SQL, nothing that the browser complains of, nothing that looks accidental, at three widths, light and dark.

By name: `tests/run browser`. Pictures of every state go to build/screenshots, to be looked at by eye; `--update-pictures` writes the three of docs/pictures.
"""

import datetime
import json

import pytest

from integration.harness.dashboard import Dashboard
from integration.harness.monitor import Monitor
from integration.harness.program import ROOT
from integration.harness.publisher import event, now_us
from integration.harness.waiting import wait_until

from .made import DAY_US, generated

PICTURES = ROOT / "build" / "screenshots"
SIZES = (390, 768, 1360)
TOKEN = "0123456789abcdef0123456789abcdef-and-more"
TABS = ("overview", "workflow", "business", "usage", "system")
# What is committed: (name, path, width, height, scheme, what to wait for). Before it is taken so many events/s came for so many seconds.
SHOWN = [("overview", "/", 1360, 1000, "light", ".card"), ("pipeline", "/?page=pipeline", 1360, 985, "dark", "#top"), ("phone", "/", 390, 844, "dark", ".card")]
RATES = [(200, 40), (600, 30), (350, 50)]
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
    "exporting_users": ("count(DISTINCT user_id)", "event_name = 'doc_export'"),
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


def label(name):
    return f"coalesce(left(event_data->>'{name}', 100), '(none)')"


def numeric(path):
    return f"(event_data#>>'{{{path}}}')::numeric"


SUCCEEDED, A_DAY = "count(*) FILTER (WHERE event_data->'success' = 'true')", "count(DISTINCT (created_at AT TIME ZONE 'UTC')::date::text || session_id)"
TOKENS, READ = "coalesce(event_data->'cache', event_data#>'{llm,cache}')", "(coalesce(event_data->'cache', event_data#>'{llm,cache}')->>'read_tokens')::numeric"
INPUT = READ.replace("read_tokens", "input_tokens")
# Panel: its rows, and for which events; the texts among them are their names.
TABLES = {
    "errors_by_type": (f"{label('error_type')}, count(*), {A_DAY}", "event_name = 'error'", "GROUP BY 1"),
    "plans": (f"{label('tier')}, count(*), sum({numeric('amount')}), round(sum({numeric('amount')}) / count(*), 2)", "event_name = 'checkout_completed'", "GROUP BY 1"),
    "outcomes": (f"{label('doc_type')}, count(*), {SUCCEEDED}, round({SUCCEEDED}::numeric / count(*), 6)", "event_name = 'doc_generation'", "GROUP BY 1"),
    "quality": (f"{label('doc_type')}, count(*), round(avg({numeric('score')}), 2), min({numeric('score')}), max({numeric('score')}), round(avg((event_data->>'grade' IN ('A', 'B'))::int), 6)", "event_name = 'quality_score'", "GROUP BY 1"),
    "usage_alerts": (f"{label('tier')}, {label('action')}, count(*), max({numeric('percent_used')})", "event_name = 'usage_alert'", "GROUP BY 1, 2"),
    "trials": (", ".join(f"count(*) FILTER (WHERE event_data->>'action' = '{action}')" for action in ("started", "converted", "expired")), "event_name = 'trial'", ""),
    "prompt_cache": (f"round(count(*) FILTER (WHERE {READ} > 0)::numeric / nullif(count(*), 0), 6), round(0.9 * sum({READ}) / nullif(sum({READ}) + sum({INPUT}), 0), 6)",
                     f"event_name IN ('performance', 'doc_generation') AND jsonb_typeof({TOKENS}) = 'object'", ""),
}
CLASSES = {"ttft": ("latency,ttft", "{0} < 500", "{0} >= 500 AND {0} < 1000", "{0} >= 1000 AND {0} <= 2000", "{0} > 2000"),
           "tpot": ("latency,tpot", "{0} < 20", "{0} >= 20 AND {0} < 40", "{0} >= 40 AND {0} <= 60", "{0} > 60"),
           "throughput": ("throughput,tokens_per_second", "{0} > 50", "{0} >= 30 AND {0} <= 50", "{0} >= 15 AND {0} < 30", "{0} < 15")}
SOURCES = {"performance": "", "doc_generation": "llm,"}


def assert_same_rows(got, expected, what):
    """Rows by their texts, in any order; figures to the sixth digit."""
    def by_name(rows):
        return {tuple(cell for cell in row if isinstance(cell, str)): [None if cell is None else float(cell) for cell in row if not isinstance(cell, str)] for row in rows}
    got, expected = by_name(got), by_name(expected)
    assert set(got) == set(expected), what
    for name, figures in expected.items():
        near = 0.0101 if what[0] == "quality" else 1e-6  # a mean of the means of days, rounded to two digits
        assert got[name] == [None if figure is None else pytest.approx(figure, abs=near) for figure in figures], (what, name)


def assert_classes(site, panel, who, page, what):
    """Counts of classes exactly; percentiles of the range exactly where they say so, else within 1 %."""
    path, *classes = CLASSES[panel["name"]]
    rows, names = {row[0]: row for row in panel["rows"] if row[1] is None}, panel["columns"]
    for source, prefix in SOURCES.items():
        value = numeric(prefix + path)
        percentiles = [name for name in names if name.startswith("p")]
        counts, tops = raw(site, "ARRAY[" + ", ".join(f"count(*) FILTER (WHERE {one.format(value)})" for one in classes) + "], ARRAY["
                           + ", ".join(f"percentile_disc({int(name[1:]) / 100}) WITHIN GROUP (ORDER BY {value})" for name in percentiles) + "]::float8[]",
                           who, page, f"event_name = '{source}' AND {value} IS NOT NULL")[0]
        assert (source in rows) == (sum(counts) > 0), (what, source)
        if source in rows:
            row = dict(zip(names, rows[source]))
            assert [row[name] for name in ("excellent", "good", "acceptable", "slow")] == counts, (what, source)
            assert [row[name] for name in percentiles] == [pytest.approx(top, rel=1e-9 if row["exact"] else 0.0101) for top in tops], (what, source)


# Panels that others compare with raw SQL.
ELSEWHERE = {"funnel_of_language": "integration/test_dashboard.py", "new_users": "integration/test_dashboard.py",
             "retention": "browser/test_analyst.py", "today_by_hour": "browser/test_analyst.py"}


def spoken(site, who, page):
    """(language, sessions of a day that reached each stage): a session counts under each language that it named that day, and its internal events apart from the others."""
    first, last = page["range"]["first"], page["range"]["last"]
    return site.database.rows(f"""
        WITH seen AS (SELECT (created_at AT TIME ZONE 'UTC')::date AS day, session_id, is_internal, event_name, event_data FROM analytics_events
                      WHERE created_at >= '{first} 00:00+00' AND created_at < ('{last} 00:00+00'::timestamptz + interval '1 day') AND {WHERE[who]} AND session_id IS NOT NULL
                        AND event_name IN ('session_start', 'code_input', 'generation_started', 'generation_completed', 'doc_generation', 'doc_export')),
             named AS (SELECT DISTINCT day, session_id, is_internal, left(event_data->>'language', 100) AS language FROM seen WHERE event_name IN ('code_input', 'doc_generation') AND event_data->>'language' <> '')
        SELECT coalesce(language, '(none)'), {", ".join(f"count(DISTINCT (day, session_id, is_internal)) FILTER (WHERE {stage})" for stage in STAGES)} FROM seen LEFT JOIN named USING (day, session_id, is_internal) GROUP BY 1""")


def test_every_figure_equals_an_independent_query(full):
    """For five ranges and three populations. A panel whose table does not exist yet says so, and only then. Each panel that is shipped is compared, here or where ELSEWHERE says."""
    dashboard, compared, waiting = Dashboard(full), [], set()
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
                    compared.append(panel)
            for panel, (event_name, attribute) in LISTS.items():
                if panel in got and (panel != "referrers" or has_referrers):
                    expected = raw(full, f"event_data->>'{attribute}', count(*)", who, page, f"event_name = '{event_name}' AND jsonb_typeof(event_data->'{attribute}') IN ('string', 'number', 'boolean')", "GROUP BY 1")
                    assert sorted((value, count) for value, count in got[panel]) == sorted((value[:100], count) for value, count in expected), (panel, who, name)
                    compared.append(panel)
            for panel, (what, condition, group) in TABLES.items():
                if panel in got:
                    rows = [row for row in got[panel] if row[0] is None] if not group else got[panel]
                    expected = raw(full, what, who, page, condition, group)
                    assert_same_rows([row[1:] for row in rows] if not group else rows, [tuple(cell or 0 for cell in row) if panel == "trials" else row for row in expected] if rows else [], (panel, who, name))
                    compared.append(panel)
            for panel in CLASSES:
                assert_classes(full, panels[panel], who, page, (panel, who, name))
                compared.append(panel)
            if "ttft_by_language" in got:
                value = numeric("llm,latency,ttft")
                expected = dict(raw(full, f"{label('language')}, percentile_disc(0.5) WITHIN GROUP (ORDER BY {value})::float8", who, page, f"event_name = 'doc_generation' AND {value} IS NOT NULL", "GROUP BY 1"))
                assert {row[0]: row[1] for row in got["ttft_by_language"]} == {language: pytest.approx(median, rel=0.0101) for language, median in expected.items()}, (who, name)
                compared.append("ttft_by_language")
            if "active_users_trailing" in got:
                last = page["range"]["last"]
                expected = [full.database.value(f"SELECT count(DISTINCT user_id) FROM analytics_events WHERE {WHERE[who]} AND created_at >= '{last} 00:00+00'::timestamptz - interval '{days - 1} days' "
                                                f"AND created_at < '{last} 00:00+00'::timestamptz + interval '1 day'") for days in (1, 7, 28)]
                assert got["active_users_trailing"][-1] == [last, *expected], (who, name)
                compared.append("active_users_trailing")
            if "funnel" in got:
                assert [row[2] for row in got["funnel"]] == [raw(full, "count(DISTINCT session_id)", who, page, stage)[0][0] for stage in STAGES], (who, name)
                compared.append("funnel")
            if "funnel_by_language" in got:
                assert {row[0]: row[1:6] for row in got["funnel_by_language"]} == {language: reached for language, *reached in spoken(full, who, page)}, (who, name)
                compared.append("funnel_by_language")
            if "total_time" in got:
                expected = dict(raw(full, f"{label('doc_type')}, count(*)", who, page, "event_name = 'doc_generation' AND jsonb_typeof(event_data#>'{llm,latency,total}') = 'number'", "GROUP BY 1"))
                assert {row[0]: row[1] for row in got["total_time"]} == expected, (who, name)
                compared.append("total_time")
            if "events" in got:
                expected = {event_name: count for event_name, count in raw(full, "event_name, count(*)", who, page, group="GROUP BY 1")}
                assert {row[0]: row[1] for row in dashboard.page("overview", who=who, **query)[0]["events"]["rows"]} == expected, (who, name)
                compared.append("events")
    print(f"{len(compared)} panels equal; waiting for tables: {', '.join(sorted(waiting))}")
    assert len(compared) >= 5 * 25
    shipped = {path.stem for path in (ROOT / "schemas" / "panels").glob("*.sql")}
    assert shipped - set(compared) - set(ELSEWHERE) == set(), "each panel is compared with raw SQL: say here with which"
    for panel, test in ELSEWHERE.items():
        assert f"data-panel={panel}" in (text := (ROOT / "tests" / test).read_text()) or f'"{panel}"' in text, (panel, test)


def running(site):
    """(the page of a site whose programs all run, its worker)"""
    worker = site.worker("--set", "metrics.listen=127.0.0.1:0")
    site.aggregator()
    return Dashboard(site, f"dashboard.workers={Monitor(worker).address}"), worker


def test_nothing_looks_accidental(driver, full):
    dashboard, worker = running(full)
    load = full.start("tallymill-produce", "--generate", "1000000", "--rate", "50", "--live")
    wait_until(lambda: len(dashboard.json("/api/v1/pipeline/live", since=0)[1]["rows"]) >= 3, 60, "some rows of the pipeline")
    looks = [one for tab in TABS for one in views(tab, f"/?tab={tab}&range=7d", axe=True)] + views("today", "/?range=today", axe=True) + views("pipeline", "/?page=pipeline", axe=True, wait="#top")
    seen = driver(address=dashboard.address, views=looks)
    assert_clean(seen, dashboard)
    shown = {one["name"]: one for one in seen}
    panels, page = dashboard.page("overview", range="7d")
    for name in ("generations", "signups"):
        figure = next(row[1] for row in panels[name]["rows"] if row[0] is None)
        assert (f"{figure:,}" if figure < 10_000 else f"{figure / 1000:.1f}\u202fk") in shown["overview-1360-light"]["panels"][name], shown["overview-1360-light"]["panels"][name]
    assert "The ledger adds up: each offset is accounted for, once." in shown["pipeline-1360-dark"]["text"]
    print(json.dumps({one["name"]: one["first_ms"] for one in seen}))
    load.kill()
    assert worker.stop() == 0


def test_the_pictures_of_the_documents(driver, make_site, request):
    """Two months of events, and everything at work."""
    if not request.config.getoption("--update-pictures"):
        pytest.skip("docs/pictures is written by: tests/run browser -- --update-pictures -k documents")
    site = generated(make_site, days=57, count=150_000, texts=())
    dashboard, worker = running(site)
    site.publisher.send_bytes(b"\xc1", b"a byte that msgpack does not have")
    for rate, seconds in RATES:
        site.must("tallymill-produce", "--generate", rate * seconds, "--rate", rate, "--live", deadline=seconds + 120)
    load = site.start("tallymill-produce", "--generate", "1000000", "--rate", "350", "--live")
    seen = driver(address=dashboard.address, views=[{"name": name, "path": path, "width": width, "height": height, "scheme": scheme, "full": False, "wait": wait,
                                                     "picture": str(ROOT / "docs" / "pictures" / f"dashboard-{name}.png")} for name, path, width, height, scheme, wait in SHOWN])
    assert_clean(seen, dashboard)
    load.kill()
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


def test_a_link_and_the_end_of_a_session_keep_what_is_shown(driver, full):
    """Whoever follows a link is asked for the token once, and then sees what the link is about; so is whoever's session has ended meanwhile."""
    dashboard = Dashboard(full, f"dashboard.token={TOKEN}", "dashboard.cookie_secure=off")
    enter = [["fill", "#token", TOKEN], ["click", "form button"]]
    steps = [*enter, ["wait", "[data-panel=code_inputs]"], ["address"], ["click", "button:text-is('28d')"], ["wait", "[data-panel=code_inputs]"], ["forget"], ["click", "button:text-is('Business')"], ["wait", "#token"],
             *enter, ["wait", "[data-panel=revenue]"], ["address"], ["key", "p"], ["wait", "#top .tiles"], ["forget"], ["wait", "#token"], *enter, ["wait", "#top .tiles"], ["address"]]
    (seen,) = driver(address=dashboard.address, views=[{"name": "session", "path": "/?tab=workflow&range=7d", "wait": "form", "steps": steps}])
    assert_clean([seen], dashboard, despite=("401",))
    assert seen["read"] == ["?tab=workflow&range=7d", "?tab=business", "?page=pipeline&tab=business"], seen["read"]


def test_the_keyboard_alone_goes_everywhere_and_keeps_its_place(driver, full):
    """Also where the page draws itself anew: by a choice, by the minute, or every few seconds as the pipeline does. axe-core has nothing serious to say of what opens."""
    dashboard = Dashboard(full, f"dashboard.token={TOKEN}", "dashboard.cookie_secure=off")
    by_name = Dashboard(full)
    steps = [["focus", "[data-panel=generations]"], ["key", "Enter"], ["focused"], ["key", "Tab"], ["focused"],
             ["focus", "[data-panel=languages] .pick"], ["key", "Space"], ["wait", ".chip"], ["focused"], ["axe"], ["key", "Space"], ["wait", "[data-panel=funnel]"],
             ["focus", "[data-panel=doc_types] button.tool"], ["key", "Enter"], ["wait", "dialog[open] table"], ["axe"], ["picture", str(PICTURES / "rows.png")], ["key", "Escape"], ["focused"], ["key", "?"], ["wait", "dialog[open]"], ["axe"], ["picture", str(PICTURES / "keys.png")], ["key", "Escape"]]
    live = [["wait", "#top .tiles"], ["focus", "section[aria-label=Months] button.tool >> nth=1"], ["seen", "#top .banner:has-text('books checked')", 60000],
            ["until", 3], ["focused"], ["key", "Enter"], ["wait", "dialog[open] pre"], ["axe"], ["picture", str(PICTURES / "query.png")], ["key", "Escape"], ["focused"]]
    (walk, pipeline) = driver(address=by_name.address, views=[{"name": "keys", "path": "/?range=7d", "steps": steps}, {"name": "live", "path": "/?page=pipeline", "steps": live}])
    assert_clean([walk, pipeline], by_name)
    read = walk["read"]
    assert read[0].startswith("|Generations") and read[1].startswith("|Success rate"), read[:2]
    assert read[2].startswith("Languages|") and read[3] == [] and read[4] == [] and read[5].startswith("Doc types|") and read[6] == [], read[2:]
    assert pipeline["read"][1:] == ["Months|Months: its query", [], "Months|Months: its query"], pipeline["read"]
    for login in driver(address=dashboard.address, views=views("login", "/", wait="form", axe=True)):
        assert login["axe"] == [] and login["violations"] == [] and login["sideways"] <= 0, login


def test_a_year_and_more(driver, make_site):
    site = generated(make_site, days=400, count=60_000, **{"window.oldest": "430 days"})
    dashboard = Dashboard(site)
    seen = driver(address=dashboard.address, views=views("year", "/?range=12mo", axe=True) + views("year-by-day", "/?range=12mo&grain=day&tab=system") + views("month", "/?page=pipeline&live=28d", wait="#top"))
    assert_clean(seen, dashboard)
    # By month each bucket stands over as many days of the range before, and what the range cuts is dotted in both.
    panels, page = dashboard.page(range="91d", grain="month")
    before = page["range"]["before"]
    expected = [row[1] for row in site.database.rows("""SELECT date_trunc('month', d + 91)::date, count(*) FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS d FROM analytics_events WHERE event_name = 'doc_generation' AND NOT is_internal) e
                                                        WHERE d BETWEEN %s AND %s GROUP BY 1 ORDER BY 1""", before["first"], before["last"])]
    (walked,) = driver(address=dashboard.address, views=[{"name": "months", "path": "/?range=91d&grain=month&kpi=generations", "steps": [["lines", "[data-panel=main] .chart"], ["picture", str(PICTURES / "months-compared.png")]]}])
    whole, cut, then, then_cut = walked["read"][0]
    assert len(expected) >= 4 and [one if other is None else other for one, other in zip(then_cut["values"], then["values"])] == expected, (walked["read"], expected)
    assert [value is None for value in then["values"]] == [value is None for value in whole["values"]] and then["dash"] == [5, 4] and cut["dash"] == then_cut["dash"] == [2, 3]


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
    assert_clean(driver(address=dashboard.address, views=views("one-day", "/?range=7d") + views("one-day-usage", "/?range=7d&tab=usage") + views("no-errors", "/?range=7d&tab=system")), dashboard)
    gone = Dashboard(empty, "postgres.dsn=host=127.0.0.1 port=1 connect_timeout=2")
    seen = driver(address=gone.address, views=views("postgres-away", "/") + views("postgres-away-pipeline", "/?page=pipeline", wait="#top"))
    assert_clean(seen, gone, despite=("503",))
    assert all("Postgres does not answer" in one["text"] for one in seen)
