"""What the page cannot know, or cannot know yet, it says: a day that is not over, days to come, uniques whose keys are gone, a question that failed. It never looks like a fall, and hides no figure.

By name: `tests/run browser`.
"""

import datetime

import pytest

from integration.harness.dashboard import Dashboard
from integration.harness.program import ROOT
from integration.harness.publisher import event, now_us
from integration.harness.waiting import wait_until

from .between import Between

PICTURES = ROOT / "build" / "screenshots"
DASHES = [5, 4]
PANEL = "-- title: {0}\n-- sub: s\n-- tab: overview {1}\n-- show: {2}\n-- unit: count\n-- good: up\n{3}"


@pytest.fixture(scope="module", autouse=True)
def folder():
    PICTURES.mkdir(parents=True, exist_ok=True)


def walk(driver, dashboard, name, path, *steps, despite=(), **more):
    seen, = driver(address=dashboard.address, views=[{**more, "name": name, "path": path, "steps": [*steps, ["picture", str(PICTURES / f"doubt-{name}.png")]]}])
    assert [error for error in seen["errors"] if not any(word in error for word in despite)] == [] and seen["violations"] == [], seen
    return seen["read"]


def utc_today():
    return datetime.datetime.fromtimestamp(now_us() // 1_000_000, datetime.timezone.utc).date()


def test_what_is_not_over_is_no_fall(driver, full):
    full.send([event("doc_generation", event_category="usage", session_id="now", user_id=1, event_data={"success": True}) for _ in range(3)])
    full.drain()
    full.fold()
    dashboard = Dashboard(full)
    change, against, worse = walk(driver, dashboard, "today", "/?range=today", ["read", "[data-panel=generations] .change"], ["rows", "[data-panel=events] thead tr"], ["rows", ".tiles:has(.worse, .better)"])
    assert change.startswith("so far") and worse == [] and against[0][-2].startswith("events, "), (change, against)
    today = utc_today()
    query = {"range": "custom", "first": today - datetime.timedelta(3), "last": today + datetime.timedelta(3)}
    rows = dict(dashboard.page(**query)[0]["generations"]["rows"][1:])
    lines, note, change = walk(driver, dashboard, "running", f"/?range=custom&first={query['first']}&last={query['last']}&kpi=generations", ["lines", "[data-panel=main] .chart"], ["read", "[data-panel=main] .foot-row"],
                               ["read", "[data-panel=generations] .change"])
    whole, running = [one["values"] for one in lines if one["dash"] != DASHES]
    counted = [rows.get(str(query["first"] + datetime.timedelta(day)), 0) for day in range(4)]
    assert whole == [*counted[:3], None, None, None, None] and running == [None, None, *counted[2:], None, None, None], (lines, rows)
    assert "today, so far" in note and change.startswith("so far"), (note, change)
    opened, foot = walk(driver, dashboard, "retention", "/?range=today", ["title", "[data-panel=retention] td.open"], ["read", "[data-panel=retention] .foot"])
    assert "so far" in opened and "this week, so far" in foot


def test_a_question_that_fails_hides_no_figure(driver, full, tmp_path):
    """Freshness that cannot be asked, a panel that cannot be drawn, a page that there is not."""
    dashboard = Dashboard(full)
    with full.database.session() as locker, locker.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE tallymill.leader IN ACCESS EXCLUSIVE MODE")
        told, value, status = walk(driver, dashboard, "freshness", "/?range=7d", ["wait", ".tiles"], ["read", ".banner"], ["read", "[data-panel=generations] .tile-value"], ["read", "#status"])
        cursor.execute("ROLLBACK")
    assert "How fresh these figures are is not known" in told and "What to do" in told and any(letter.isdigit() for letter in value) and "unknown" in status, (told, value, status)
    address, = walk(driver, dashboard, "no-page", "/?page=foo", ["wait", ".tiles"], ["read", ".pages [aria-pressed=true]"])
    assert address == "Analytics"
    full.database.run("INSERT INTO tallymill.refreshes (view, started_at, took_us, error) VALUES ('analytics_view_daily', now() - interval '3 hours', 1, NULL), ('analytics_view_daily', now() - interval '1 hour', 1, 'no room')")
    view, waits = walk(driver, dashboard, "view", "/?page=pipeline", ["wait", "#top .banner:has-text('could not be refreshed')"], ["read", "#top .banner:has-text('could not be refreshed')"], ["read", "section[aria-label='What waits'] tbody"])
    assert "analytics_view_daily" in view and "no room" in view and "of 3" in view and "tallymill refresh" in view and "analytics_view_daily" in waits, (view, waits)
    (tmp_path / "odd.sql").write_text(PANEL.format("Odd", 2, "classes", "-- zones: 1 2 3\n") + "SELECT 'a' AS source, '2026-01-01' AS bucket, 1 AS p50")
    (tmp_path / "sound.sql").write_text(PANEL.format("Sound", 3, "table", "") + "SELECT 'a' AS name, 7 AS n")
    odd, sound = walk(driver, Dashboard(full, f"dashboard.panels={tmp_path}"), "odd", "/?range=7d", ["wait", "[data-panel=sound]"], ["read", "[data-panel=odd]"], ["read", "[data-panel=sound] tbody"])
    assert "Cannot be drawn" in odd and "7" in sound


def test_an_address_that_is_cut_or_mistyped_is_told(driver, make_site):
    dashboard = Dashboard(make_site(**{"rollups.dir": "", "uniques.subjects": ""}))
    for number, days in enumerate(("first=2026-11-01", "first=abc&last=abd", "first=2026-99-01&last=2026-99-02", "first=2026-02-30&last=2026-03-02", "last=2026-11-01", "first=2026-11-20&last=2026-11-01", "")):
        told, head = walk(driver, dashboard, f"address-{number}", f"/?range=custom&{days}", ["wait", ".banner"], ["read", ".banner"], ["read", ".ranges [aria-pressed=true]"], despite=("400",))
        assert "This address asks for something that there is not" in told and "day" in told, (days, told)
        assert (head == "…") == (days.count("2026-11") < 2), (days, head)


@pytest.mark.parametrize("how", ["cut", "html"])
def test_an_answer_that_is_none_of_ours_is_asked_for_again(driver, make_site, how):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    dashboard = Dashboard(site)
    worker = site.worker()
    site.send([event("login", session_id="s")])
    site.wait_until_drained()
    for name, asked, path, sound in (("page", "/api/v1/page/", "/?range=7d", ".tiles"), ("facts", "/api/v1/pipeline$", "/?page=pipeline", "#top .tiles"), ("live", "/api/v1/pipeline/live", "/?page=pipeline", "#top .tile:has-text('Stored'):not(:has-text('unknown'))"),
                                     ("month", "/api/v1/pipeline/rates", "/?page=pipeline&live=28d", "[aria-label^='Events per second: now']")):
        between = Between(dashboard, asked, how)
        told = [["wait", ".banner:has-text('does not answer')"]] if name in ("page", "facts") else []
        walk(driver, between, f"{how}-{name}", path, *told, ["wait", sound], despite=("ERR_",))
        between.close()
        assert between.left == 0
    assert worker.stop() == 0


def test_an_aggregator_that_left_without_a_word_is_named(driver, make_site):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    aggregator = site.aggregator()
    wait_until(lambda: site.database.value("SELECT leader <> '' FROM tallymill.leader"), 60, "an aggregator to lead")
    aggregator.kill()
    dashboard = Dashboard(site)
    for minutes, is_told in ((1, False), (10, True)):
        site.database.run(f"UPDATE tallymill.leader SET seen_at = now() - interval '{minutes} minutes'")
        top, = walk(driver, dashboard, f"leader-{minutes}", "/?page=pipeline", ["wait", "#top .tiles"], ["read", "#top"])
        status, = walk(driver, dashboard, f"leader-status-{minutes}", "/", ["wait", ".note"], ["read", "#status"])
        assert (f"The aggregator was last seen {minutes}" in top and "systemctl status tallymill-aggregator" in top) == is_told, top
        assert ("aggregator not seen for 10" in status) == is_told, status


def test_a_clock_of_the_browser_that_is_wrong_empties_no_chart(driver, make_site):
    dashboard = Dashboard(make_site(**{"rollups.dir": "", "uniques.subjects": ""}))
    rows = wait_until(lambda: (lambda found: found if len(found) >= 2 and found[-1][3] is not None else None)(dashboard.json("/api/v1/pipeline/live", seconds=900)[1]["rows"]), 60, "two rows of the pipeline")
    for hours in (2, -2):
        (first, last), = walk(driver, dashboard, f"clock-{hours}", "/?page=pipeline", ["wait", "#top .tile:has-text('Lag'):not(:has-text('unknown'))"], ["range", "[aria-label='Lag'] .chart"], ahead=hours * 3_600_000)
        assert first < rows[0][0] / 1000 and rows[-1][0] / 1000 < last < rows[-1][0] / 1000 + 300, (hours, first, last, rows)


def test_a_figure_that_is_nowhere_in_the_range_is_no_part_of_a_name(driver, full, tmp_path):
    """What is in each row of the range unknown, and was known before, keeps nothing from being compared."""
    first, last = (utc_today() - datetime.timedelta(days) for days in (4, 2))
    (tmp_path / "sizes.sql").write_text(PANEL.format("Sizes", 2, "table", "") + f"SELECT v.name, v.n, CASE WHEN :'first'::date < '{first}' THEN v.n * 2 END AS size FROM (VALUES ('small', 10), ('large', 30)) AS v (name, n)")
    rows, = walk(driver, Dashboard(full, f"dashboard.panels={tmp_path}"), "null-figure", f"/?range=custom&first={first}&last={last}", ["wait", "[data-panel=sizes] tbody"], ["rows", "[data-panel=sizes] tbody tr"])
    assert [row[:4] for row in rows] == [["small", "10", "–", rows[0][3]], ["large", "30", "–", rows[1][3]]] and all("0.0" in row[3] for row in rows), rows


def test_uniques_whose_keys_are_gone_are_called_at_most(driver, full):
    full.database.run(f"BEGIN; SELECT tallymill.keep_uniques_from('{utc_today() - datetime.timedelta(9)}'); COMMIT")
    dashboard = Dashboard(full)
    name, before, sub, generations, events = walk(driver, dashboard, "at-most", "/?range=7d", ["read", "[data-panel=sessions] .tile-name"], ["read", "[data-panel=sessions] .change"], ["read", "[data-panel=funnel] .sub"], ["read", "[data-panel=generations] .change"], ["read", "[data-panel=events] tbody"])
    assert "at most" not in name and "at most" not in events and before.startswith("before: at most"), (name, before)
    assert "exact" in sub and "at most" not in generations
    name, sub, exact = walk(driver, dashboard, "at-most-now", "/?range=custom" + "".join(f"&{name}={utc_today() - datetime.timedelta(days)}" for name, days in (("first", 12), ("last", 6))), ["read", "[data-panel=sessions] .tile-name"], ["read", "[data-panel=funnel] .card-head"], ["read", "[data-panel=generations] .tile-name"])
    assert "at most" in name and "exact" not in sub and "at most" in sub and "at most" not in exact
