"""Rollups: figures worked out by hand, late and foreign rows, kills at any moment."""

import datetime
import gzip
import math
import re
from decimal import Decimal

from .harness.program import ROOT
from .harness.publisher import event, events
from .harness.rolling import COUNTED, DAY, DAY_US, directory, one_day, wait_for_count
from .harness.waiting import wait_until

SHIPPED = ROOT / "schemas" / "rollups"
REAL = ROOT.parent / "shared" / "real" / "web-requests.ndjson.gz"


def performance(ttft, tpot, throughput, cache=None):
    data = {"latency": {"ttft": ttft, "tpot": tpot}, "throughput": {"tokens_per_second": throughput}}
    if cache:
        data["cache"] = {"read_tokens": cache[0], "input_tokens": cache[1]}
    return "performance", None, None, data


# The day: (name, session, user, event_data), 40 events with one of staff.
HAND_MADE = [
    *(("session_start", session, None, {}) for session in "ABCDEFA"),
    ("code_input", "A", None, {"origin": "paste", "language": "js"}), ("code_input", "A", None, {"origin": "upload", "language": "py"}),
    ("code_input", "B", None, {"origin": "paste", "language": "js"}), ("code_input", "C", None, {"origin": "paste", "language": "py"}),
    ("code_input", "D", None, {"origin": "github", "language": "go"}),
    ("doc_generation", "A", 1, {"success": True, "doc_type": "README", "llm": {"latency": {"total": 16000}}}),
    ("doc_generation", "A", 1, {"success": False, "doc_type": "README", "language": "js", "llm": {"latency": {"ttft": 500}}}),
    ("doc_generation", "B", 2, {"success": True, "doc_type": "API", "duration": 40000, "language": "js", "llm": {"latency": {"ttft": 2000}}}),
    ("doc_generation", "C", None, {"success": "true", "doc_type": "API", "duration": "long"}),    # text is no truth and no number
    ("doc_generation", "G", None, {"success": True, "doc_type": ["API"]}),
    ("generation_started", "D", None, {}), ("generation_completed", "B", None, {}),
    ("doc_export", "A", 1, {"action": "copy"}), ("doc_export", "A", 1, {"action": "download"}), ("doc_export", "H", None, {"action": "copy"}),
    ("signup", "A", 1, {"has_trial": True}), ("signup", "B", 2, {"has_trial": False}),
    ("trial", "A", 1, {"action": "started"}), ("trial", "B", 2, {"action": "started"}), ("trial", "A", 1, {"action": "converted"}),
    ("tier_change", "A", 1, {"action": "upgrade"}), ("tier_change", "E", 9, {"action": "cancel"}),
    *(("user_interaction", session, None, {"action": "checkout_started"}) for session in "ABE"),
    ("checkout_completed", "A", 1, {"tier": "pro", "amount": 12}), ("checkout_completed", "B", 2, {"tier": "pro", "amount": 29.5}),
    ("session_start", "staff", 99, {}),
    # Each value is on or just beside an edge of a class.
    performance(499.9, 19.9, 50.5, (100, 900)), performance(500, 20, 50, (0, 500)), performance(999, 40, 30, (300, 0)),
    performance(2000, 60, 15, (600, 600)), performance(2000.1, 60.5, 14.9),
]


def hand_made_day():
    assert len(HAND_MADE) == 40
    for number, (name, session, user, data) in enumerate(HAND_MADE):
        at = DAY_US + (86_399_999_999 * number) // 39    # from the first to the last microsecond of the day
        yield event(name, at, session_id=session, user_id=user, event_data=data, is_internal=session == "staff")


def test_a_day_of_forty_events_has_the_figures_worked_out_by_hand(make_site):
    site = make_site(**{"rollups.dir": ""})
    site.send(hand_made_day())
    site.drain()
    site.fold()
    # session_start A B C D E F; code_input A B C D; started A B C G and D by name; completed A B G; exported A H.
    assert one_day(site, "analytics_daily_funnel", "step, stage, sessions") == [
        (1, "session_start", 6), (2, "code_input", 4), (3, "generation_started", 5), (4, "generation_completed", 3), (5, "doc_export", 2)]
    # js: A B, py: A C, go: D; A is in two rows of each stage that it reached, E F G H named no language.
    by_language = site.database.rows("SELECT language, array_agg(sessions ORDER BY step) FROM analytics_daily_funnel_by_language"
                                     " WHERE date = %s GROUP BY 1 ORDER BY 1", DAY)
    assert by_language == [("(none)", [2, 0, 1, 1, 1]), ("go", [1, 1, 1, 0, 0]), ("js", [2, 2, 2, 2, 1]), ("py", [2, 2, 2, 1, 1])]
    # 2 / 6 signups, 2 / 2 trials, 1 / 2 converted, 2 / 3 checkouts.
    assert one_day(site, "analytics_daily_conversions",
                   "sessions, signups, signups_with_trial, trials_started, trials_expired, trials_converted, upgrades, downgrades,"
                   " cancels, checkouts_started, checkouts_completed, signup_rate, trial_rate, trial_conversion_rate, checkout_rate") == [
        (6, 2, 1, 2, 0, 1, 1, 0, 1, 3, 2, Decimal("0.333333"), 1, Decimal("0.5"), Decimal("0.666667"))]
    # Sums: 5999 / 5, 160.4 / 5 and 200.4 / 5; the third and the fifth of five values; classes by their edges.
    assert one_day(site, "analytics_daily_llm", "metric, events, mean, p50, p95, p99, excellent_share, good_share, acceptable_share,"
                   " slow_share", "source = 'performance'") == [tuple(map(exact, row)) for row in [
        ("throughput", 5, 32.08, 30, 50.5, 50.5, 0.2, 0.4, 0.2, 0.2),
        ("tpot", 5, 40.08, 40, 60.5, 60.5, 0.2, 0.2, 0.4, 0.2),
        ("ttft", 5, 1199.8, 999, 2000.1, 2000.1, 0.2, 0.4, 0.2, 0.2)]]
    assert one_day(site, "analytics_daily_llm", "metric, excellent, good, acceptable, slow, p05, p01", "source = 'performance'") == [tuple(map(exact, row)) for row in [
        ("throughput", 1, 2, 1, 1, 14.9, 14.9), ("tpot", 1, 1, 2, 1, 19.9, 19.9), ("ttft", 1, 2, 1, 1, 499.9, 499.9)]]
    # Buckets are 2 % wide: each value is in the one of its logarithm, and its middle is within 1 %.
    buckets = [math.floor(math.log(value) / math.log(1.02)) for value in (499.9, 500, 999, 2000, 2000.1)]
    assert one_day(site, "analytics_daily_llm_histogram", "first_bucket, counts", "source = 'performance' AND metric = 'ttft'") == [
        (buckets[0], [buckets.count(n) for n in range(buckets[0], buckets[-1] + 1)])]
    js = [math.floor(math.log(value) / math.log(1.02)) for value in (500, 2000)]
    assert one_day(site, "analytics_daily_ttft_by_language", "language, events, p50, p95, first_bucket, counts") == [
        ("js", 2, 500, 2000, js[0], [int(n in js) for n in range(js[0], js[1] + 1)])]
    assert one_day(site, "analytics_daily_hours", "hour, events", "event_name = 'checkout_completed'") == [(19, 1), (20, 1)]
    assert one_day(site, "analytics_daily_hours", "sum(events)") == [(39,)]
    # The one of staff, in the twins: by the same queries.
    assert one_day(site, "analytics_internal_daily_funnel", "step, sessions") == [(1, 1), (2, 0), (3, 0), (4, 0), (5, 0)]
    assert one_day(site, "analytics_internal_daily_hours", "event_name, events") == [("session_start", 1)]
    assert site.database.rows("SELECT active_users FROM analytics_internal_weekly_cohorts") == [(1,)]
    # 3 of 4 with a cache read from it; 0.9 x 1000 / (1000 + 2000).
    assert one_day(site, "analytics_daily_llm_cache", "source, events, hits, hit_rate, read_tokens, input_tokens, savings") == [
        ("performance", 4, 3, Decimal("0.75"), 1000, 2000, Decimal("0.3"))]
    assert one_day(site, "analytics_daily_llm_total_time", "doc_type, events, mean, faster, typical, slower") == [("README", 1, 16000, 0, 1, 0)]
    assert one_day(site, "analytics_daily_generations", "doc_type COLLATE \"C\", attempts, succeeded, success_rate, duration_p50") == [
        ("API", 2, 1, Decimal("0.5"), 40000), ("README", 2, 1, Decimal("0.5"), None), ('["API"]', 1, 1, 1, None)]
    assert one_day(site, "analytics_daily_checkouts", "tier, checkouts, users, amount, amount_mean, amount_min, amount_max") == [
        ("pro", 2, 2, Decimal("41.5"), Decimal("20.75"), 12, Decimal("29.5"))]
    assert one_day(site, "analytics_daily_breakdowns", "value, events, sessions", "event_name = 'code_input' AND attribute = 'origin'") == [
        ("github", 1, 1), ("paste", 3, 3), ("upload", 1, 1)]
    # Users 1, 2 and 9 were seen in that week only, and are its cohort.
    monday = DAY - datetime.timedelta(days=DAY.weekday())
    assert site.database.rows("SELECT week, cohort_week, active_users FROM analytics_weekly_cohorts") == [(monday, monday, 3)]
    assert site.tallymill("verify").code == 0


def exact(value):
    return Decimal(str(value)) if isinstance(value, float) else value


def test_internal_events_alone_have_the_twins_computed_and_a_wrong_twin_is_found(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    site.send([event("login", DAY_US, session_id="A")])
    site.drain()
    site.fold()
    assert one_day(site, "analytics_internal_daily_counted", "events") == [(0,)]
    site.send([event("login", DAY_US + 1, session_id="staff", is_internal=True)])
    site.drain()
    site.fold()
    assert one_day(site, "analytics_internal_daily_counted", "events") == [(1,)] and one_day(site, "analytics_daily_counted", "events") == [(1,)]
    site.database.run("UPDATE analytics_internal_daily_counted SET events = 7")
    found = site.tallymill("verify")
    assert found.code == 1 and "internal: " in found.out and "events is 7, should be 1" in found.out, found


def test_a_day_that_has_internal_events_alone_is_a_day(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    site.send([event("login", DAY_US, session_id="A")])
    site.drain()
    site.fold()
    site.send([event("login", DAY_US - 20 * 86_400_000_000, session_id="staff", is_internal=True)])
    site.drain()
    site.fold()
    alone = DAY - datetime.timedelta(days=20)
    assert site.database.rows("SELECT date, events FROM analytics_internal_daily_counted WHERE events > 0") == [(alone, 1)]
    assert site.database.rows("SELECT events FROM analytics_daily_counted WHERE date = %s", alone) == [(0,)]
    assert site.database.value("SELECT closed_at IS NOT NULL FROM tallymill.days WHERE day = %s", alone)
    verified = site.tallymill("verify", "--strict")
    assert verified.code == 0, verified


def test_every_rollup_equals_its_own_query(make_site):
    site = make_site(**{"window.oldest": "2015-01-01", "rollups.dir": ""})
    assert site.produce("--generate", "9000", "--seed", "11", "--days", "14").code == 0
    if REAL.exists():
        requests = gzip.decompress(REAL.read_bytes())
        sent = site.produce("--map", "created_at=time", "--map", "session_id=client", "--const", "event_name=page_view", "--rest", "event_data",
                            stdin=requests)
        assert sent.code == 0, sent
    site.drain()
    site.fold()
    if REAL.exists():
        assert site.database.value("SELECT sum(events) FROM analytics_daily_breakdowns WHERE event_name = 'page_view' AND attribute = 'method'") == 9_999
    verified = site.tallymill("verify", "--json")
    assert verified.code == 0, verified
    compared = site.database.value("SELECT count(*) FROM tallymill.rollup_periods WHERE NOT is_stale")
    assert f'"compared": {compared}' in verified.out and compared >= 14 * 15, verified
    # The same again from outside: a figure that is wrong by one is named.
    site.database.run(f"UPDATE analytics_daily_funnel SET sessions = sessions + 1 WHERE stage = 'code_input' AND date = '{DAY}'")
    site.database.run(f"DELETE FROM analytics_daily_conversions WHERE date = '{DAY}'")
    damaged = site.tallymill("verify", DAY.isoformat())
    assert damaged.code == 1 and f"rollup funnel, {DAY}, code_input: sessions" in damaged.out, damaged
    assert f"rollup conversions, {DAY}" in damaged.out, damaged


def test_late_foreign_and_changed_rows_reach_the_rollups(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    aggregator, worker = site.aggregator("--set", "aggregator.interval=100 ms"), site.worker()
    site.send(event("login", DAY_US + number) for number in range(10))
    wait_for_count(site, 10)
    assert site.database.value("SELECT closed_at IS NOT NULL FROM tallymill.days WHERE day = %s", DAY)
    site.send(event("login", DAY_US + number) for number in range(5))    # late: the day is closed
    wait_for_count(site, 15)
    site.send(event("login", DAY_US, is_internal=True) for _ in range(3))
    aggregator.kill()
    second = site.aggregator("--set", "aggregator.interval=100 ms")
    site.send(event("login", DAY_US + number) for number in range(5))
    wait_for_count(site, 20)
    # What somebody deletes is seen when the day is rebuilt.
    site.database.run("DELETE FROM analytics_events WHERE id = (SELECT id FROM analytics_events WHERE is_internal = false LIMIT 1)")
    site.database.run(f"UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day = '{DAY}'")
    wait_for_count(site, 19)
    assert [worker.stop(), second.stop()] == [0, 0]
    assert site.tallymill("verify").code == 0


def test_after_kills_at_any_moment_every_rollup_is_exact(make_site, tmp_path):
    folder = directory(tmp_path)
    for path in SHIPPED.glob("*.sql"):
        (folder / path.name).write_text(re.sub("-- cadence: .*", "-- cadence: 1 s", path.read_text()))
    site = make_site(**{"rollups.dir": folder, "aggregator.interval": "100 ms"})
    worker, standby = site.worker(), None
    for turn in range(5):
        leader, standby = standby or site.aggregator(), site.aggregator()
        before = site.database.value("SELECT max(ran_at) FROM tallymill.rollup_runs")
        site.send(events(400, seed=turn, days=4))
        wait_until(lambda: site.database.value("SELECT max(ran_at) IS DISTINCT FROM %s FROM tallymill.rollup_runs", before), 60,
                   "rollups to be computed")
        leader.kill()
    standby.kill()
    site.wait_until_drained()
    assert worker.stop() == 0
    site.fold()
    verified = site.tallymill("verify")
    assert verified.code == 0 and "aside" not in verified.out, verified


def test_once_does_not_end_before_its_rollups_are_computed(make_site, tmp_path):
    """Another transaction changes the rollup's row in the middle: the run is refused (40001), and begins again."""
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    at = DAY_US + 3_600_000_000
    site.send(event("login", at + number) for number in range(4))
    site.drain()
    site.fold()
    site.send(event("login", at + number) for number in range(10, 15))
    site.drain()
    with site.database.session() as other, other.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE tallymill.rollup_runs SET ran_at = ran_at")
        aggregator = site.aggregator("--once")
        wait_until(lambda: site.database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"),
                   60, "the aggregator to wait for the row")
        cursor.execute("COMMIT")
    assert aggregator.wait(60) == 0
    assert site.database.value("SELECT sum(events) FROM analytics_daily_counted") == 9, aggregator.log()


def test_an_aggregator_with_only_its_role_computes_rollups_and_refreshes_views(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED), "views.refresh": "hourly"})
    site.database.run("DROP ROLE IF EXISTS it_rollups; CREATE ROLE it_rollups LOGIN IN ROLE tallymill_aggregate")
    aggregator = site.aggregator("--set", f"postgres.dsn={site.database.dsn} user=it_rollups")
    worker = site.worker()
    site.send(event("login", DAY_US + number) for number in range(10))
    wait_for_count(site, 10)
    wait_until(lambda: site.database.value("SELECT count(DISTINCT view) FROM tallymill.refreshes") == 4, 60, "four refreshes")
    assert [worker.stop(), aggregator.stop()] == [0, 0]
    refreshed = site.tallymill("refresh", "--set", f"postgres.dsn={site.database.dsn} user=it_rollups")
    assert refreshed.code == 0 and "analytics_view_funnel" in refreshed.out, refreshed


def test_the_planner_knows_how_many_rollups_there_are(make_site):
    """Nobody else looks at so small a table: without it each question about periods takes one rollup for all of them, and nested loops for one pass."""
    site = make_site(**{"rollups.dir": ""})
    assert site.database.value("SELECT reltuples = (SELECT count(*) FROM tallymill.rollups) FROM pg_class WHERE oid = 'tallymill.rollups'::regclass")
