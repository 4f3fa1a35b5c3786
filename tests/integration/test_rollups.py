"""Rollups: figures worked out by hand, files that come, change and are wrong, late and foreign rows, months that are gone."""

import datetime
import gzip
import json
import math
import re
import shutil
from decimal import Decimal

import psycopg2
import pytest

from .harness.program import ROOT
from .harness.publisher import event, events
from .harness.waiting import wait_until

SHIPPED = ROOT / "schemas" / "rollups"
REAL = ROOT.parent / "shared" / "real" / "web-requests.ndjson.gz"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
DAY = TODAY - datetime.timedelta(days=2)
DAY_US = int(datetime.datetime(DAY.year, DAY.month, DAY.day, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000

COUNTED = """-- One row a day: how many events it had.
-- target: analytics_daily_counted
-- key: date
-- cadence: 1 s
SELECT count(*) AS events FROM tallymill.day_events;
"""


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


def one_day(site, table, columns, where="true"):
    return site.database.rows(f"SELECT {columns} FROM {table} WHERE date = %s AND {where} ORDER BY 1", DAY)


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


def wait_for_count(site, expected):
    def count():
        rows = site.database.rows("SELECT events FROM analytics_daily_counted WHERE date = %s", DAY)
        return rows[0][0] if rows else None
    wait_until(lambda: count() == expected, 60, lambda: f"the rollup to count {expected}; it has {count()}")


def directory(tmp_path, **files):
    folder = tmp_path / "rollups"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def test_a_rollup_is_added_and_changed_by_a_file_alone(make_site, tmp_path):
    folder = directory(tmp_path)
    for path in SHIPPED.glob("*.sql"):
        shutil.copy(path, folder)
    site = make_site(**{"rollups.dir": folder})
    shipped = site.database.value("SELECT count(*) FROM tallymill.rollups")
    site.send(events(400, days=3))
    site.drain()
    site.fold()
    directory(tmp_path, counted=COUNTED)
    added = site.tallymill("migrate")
    assert added.code == 0 and "1 made" in added.out, added
    site.fold()
    days = site.database.rows("SELECT date, sum(event_count)::bigint FROM analytics_daily_stats GROUP BY 1 ORDER BY 1")
    assert len(days) >= 3 and site.database.rows("SELECT date, events FROM analytics_daily_counted ORDER BY 1") == days
    # A wider query adds its column and computes every day anew.
    directory(tmp_path, counted=COUNTED.replace("AS events", "AS events, count(user_id) AS by_users"))
    changed = site.tallymill("migrate")
    assert changed.code == 0 and "1 changed" in changed.out, changed
    site.fold()
    assert site.database.value("SELECT count(*) FROM analytics_daily_counted WHERE by_users > 0") == len(days)
    assert site.tallymill("verify").code == 0
    # A file that goes away takes nothing with it.
    (folder / "counted.sql").unlink()
    gone = site.tallymill("migrate")
    assert gone.code == 0 and "0 retired" in gone.out and "rollup counted has no file" in gone.err, gone
    assert "rollup counted would be retired" in site.must("tallymill", "migrate", "--check", "--retire", "counted").out
    assert site.tallymill("migrate", "--retire", "nobody").code == 2
    gone = site.tallymill("migrate", "--retire", "counted")
    assert gone.code == 0 and "1 retired" in gone.out, gone
    assert site.database.value("SELECT count(*) FROM analytics_daily_counted") == len(days)
    assert site.database.value("SELECT count(*) FROM tallymill.rollups WHERE retired_at IS NULL") == shipped


def test_a_file_with_an_error_is_refused_with_its_line_and_the_others_go_on(make_site, tmp_path):
    wrong = {
        "no_such_column": COUNTED.replace("counted", "a").replace("SELECT count(*)", "SELECT count(*) AS n, -- ä\n  coumt"),
        "no_target": COUNTED.replace("-- target", "-- tarrget"),
        "bad_cadence": COUNTED.replace("counted", "c").replace("1 s", "soon"),
        "deletes": COUNTED.replace("counted", "d").replace("SELECT count(*) AS events FROM tallymill.day_events", "DELETE FROM analytics_events RETURNING 1 AS x"),
        "two_statements": COUNTED.replace("counted", "e") + "SELECT 1",
        "key_not_there": COUNTED.replace("counted", "f").replace("key: date", "key: date, city"),
    }
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, counted=COUNTED, **wrong)})
    refused = site.tallymill("migrate")
    assert refused.code == 2, refused
    for name, line in (("no_such_column", 6), ("no_target", 1), ("bad_cadence", 4), ("deletes", 5), ("two_statements", 5), ("key_not_there", 3)):
        assert f"{name}.sql:{line}: " in refused.err, (name, refused)
    assert refused.err.count("refused") == len(wrong), refused
    # The good one is there; a change that its table cannot follow is refused and leaves it as it was.
    assert site.database.rows("SELECT rollup FROM tallymill.rollups") == [("counted",)]
    for file in wrong:
        (tmp_path / "rollups" / f"{file}.sql").unlink()
    directory(tmp_path, counted=COUNTED.replace("AS events", "AS others"))
    kept = site.tallymill("migrate")
    assert kept.code == 2 and "no longer has events" in kept.err, kept
    site.send(event("login", DAY_US) for _ in range(3))
    site.drain()
    site.fold()
    assert one_day(site, "analytics_daily_counted", "events") == [(3,)]


def test_a_query_that_fails_on_some_day_costs_that_day_only(make_site, tmp_path):
    fragile = COUNTED.replace("counted", "fragile").replace("count(*) AS events", "sum((event_data ->> 'n')::integer) AS total")
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED, fragile=fragile)})
    site.send([event("login", DAY_US, event_data={"n": 7}), event("login", DAY_US + 86_400_000_000, event_data={"n": "seven"})])
    site.drain()
    folded = site.fold()
    assert "rollup=fragile" in folded.err and "22P02" in folded.err, folded
    assert site.database.rows("SELECT date, total FROM analytics_daily_fragile") == [(DAY, 7)]
    assert site.database.value("SELECT count(*) FROM analytics_daily_counted") == 2
    verified = site.tallymill("verify")
    assert verified.code == 0 and "its query failed" in verified.out, verified
    status = site.tallymill("status")
    assert "1 of them failed" in status.out and "fragile of" in status.out, status


def counted_as(name, what="count(*) AS events"):
    return COUNTED.replace("counted", name).replace("count(*) AS events", what)


def failing_sql(name, sqlstate):
    """A function that an operator's query may use and that fails, once told so, as a foreign table, a full disk or a time-out would."""
    return f"""CREATE FUNCTION public.{name}(n bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
        BEGIN IF to_regclass('public.broken') IS NOT NULL THEN RAISE EXCEPTION 'gone' USING ERRCODE = '{sqlstate}'; END IF; RETURN n; END $$;"""


STATES = ("08006", "53100", "53200", "55P03", "57014", "58030", "P0004", "40001", "40P01", "XX000")


def test_one_query_that_fails_stops_no_other_whatever_its_sqlstate(make_site, tmp_path):
    files = {f"bad_{state.lower()}": counted_as(f"bad_{state.lower()}", f"public.fail_{state.lower()}(count(*)) AS events") for state in STATES}
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, counted=COUNTED, zz_last=counted_as("zz_last"), **files)})
    site.database.run("".join(failing_sql(f"fail_{state.lower()}", state) for state in STATES))
    assert site.tallymill("migrate").code == 0
    site.send(event("login", DAY_US + number) for number in range(4))
    site.drain()
    site.fold()
    site.database.run("CREATE TABLE public.broken ()")
    site.send(event("login", DAY_US + number) for number in range(10, 15))
    site.drain()
    folded = site.fold()
    assert one_day(site, "analytics_daily_counted", "events") == one_day(site, "analytics_daily_zz_last", "events") == [(9,)]
    failed = dict(site.database.rows("SELECT rollup, left(error, 5) FROM tallymill.rollup_runs WHERE error IS NOT NULL"))
    assert failed == {f"bad_{state.lower()}": state for state in STATES}
    for state in STATES:
        assert f"rollup=bad_{state.lower()}" in folded.err and one_day(site, f"analytics_daily_bad_{state.lower()}", "events") == [(4,)], folded
    status = site.tallymill("status")
    days = site.database.value("SELECT count(*) FROM tallymill.days")  # from 6:00 on yesterday is closed too
    assert f"{days * len(STATES)} of them failed" in status.out, status


def test_a_running_aggregator_goes_on_behind_a_query_that_conflicts_each_time(make_site, tmp_path):
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, aa_bad=counted_as("aa_bad", "public.fail(count(*)) AS events"), counted=COUNTED)})
    site.database.run(failing_sql("fail", "40001") + "CREATE TABLE public.broken ()")
    assert site.tallymill("migrate").code == 0
    aggregator, worker = site.aggregator(), site.worker()
    site.send(event("login", DAY_US + number) for number in range(10))
    wait_for_count(site, 10)
    assert [worker.stop(), aggregator.stop()] == [0, 0]


def test_verify_compares_the_others_where_a_query_fails(make_site, tmp_path):
    """Its helper table is gone, and the table that it keeps is: nothing can be said about the two, and something about the third."""
    site = make_site(migrate=False, **{"rollups.dir": directory(
        tmp_path, counted=COUNTED, helped=counted_as("helped", "count(*) + (SELECT count(*) FROM public.helper) AS events"), kept=counted_as("kept"))})
    site.database.run("CREATE TABLE public.helper (n integer); GRANT SELECT ON public.helper TO PUBLIC")
    assert site.tallymill("migrate").code == 0
    site.send(event("login", DAY_US + number) for number in range(4))
    site.drain()
    site.fold()
    assert site.tallymill("verify", "--strict").code == 0
    site.database.run("DROP TABLE public.helper; DROP TABLE analytics_daily_kept")
    verified = site.tallymill("verify")
    assert verified.code == 0 and "1 of 3 rollups" in verified.out.splitlines()[-1], verified
    assert f"rollup helped {DAY}: its query failed" in verified.out and "public.helper" in verified.out and f"rollup kept {DAY}" in verified.out, verified
    answer = json.loads(site.tallymill("verify", "--json").out)
    assert answer["rollups"] == {"compared": 1, "set_aside": 2}
    assert {aside["rollup"] for aside in answer["rollups_set_aside"]} == {"helped", "kept"}
    assert site.tallymill("verify", "--strict").code == 1
    site.database.run("UPDATE analytics_daily_counted SET events = events + 1")
    assert site.tallymill("verify").code == 1, "what is wrong beside them is still found"


UNSTEADY = [    # what the query gives, and the line that says so
    ("count(*) AS events,\n  now() AS at", 6),
    ("count(*) AS events,\n\n  max(Now ( ) - created_at) AS age", 7),
    ("count(*) FILTER (WHERE created_at >\n CURRENT_DATE) AS events", 6),
    ("count(*) AS events, -- now() is no word here\n  localtimestamp(0) AS at", 6),
    ("count(*) AS events,\n  statement_timestamp() AS at", 6),
    ("count(*) AS events,\n  clock_timestamp() AS at", 6),
    ("count(*) AS events,\n  random() AS dice", 6),
    ("count(*) AS events,\n  max(age(created_at)) AS oldest", 6),
    ("count(*) FILTER (WHERE created_at > \n timestamptz 'now') AS events", 6),
    ("count(*) FILTER (WHERE created_at::date = \n 'Today'::date) AS events", 6),
    ("count(*) AS events,\n  current_user::text AS who", 6),
    ("count(*) AS events,\n  helper.clock() AS at", 6),
    ("count(*) AS events,\n  helper.newer_clock() AS at", 6),
    ("count(*) AS events,\n (SELECT t FROM helper.moment) AS at", 6),
    ("count(*) AS events,\n  helper.dice() AS n", 6),
    ("count(*) AS events,\n  (SELECT count(*) FROM helper.numbers TABLESAMPLE bernoulli (50)) AS sample", 6),
    ("count(*) AS events,\n  (SELECT count(*) FROM helper.half) AS sample", 6),
    ("count(*) AS events,\n  helper.sample() AS sample", 6),
    ("count(*) AS events,\n  json_agg(event_name) AS names", 6),
    ("count(*) AS events,\n  min(event_data::text)::json AS data", 6),
    ("count(*) AS events,\n  '<a/>'::xml AS page", 6),
    ("count(*) AS events,\n  ARRAY['{}'::json] AS many", 6),
    ("count(*) AS events,\n  point(1, 2) AS place", 6),
    ("count(*) AS events,\n  '{}'::helper.wrapped AS wrapped", 6),
    ("count(*) AS events,\n  ROW('{}', 1)::helper.pair AS pair", 6),
]


def test_a_rollup_that_no_two_runs_would_agree_on_is_refused_with_its_line(make_site, tmp_path):
    files = {f"wrong_{number}": counted_as(f"wrong_{number}", what) for number, (what, _) in enumerate(UNSTEADY)}
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, counted=COUNTED, **files)})
    site.database.run("""CREATE SCHEMA helper;
        CREATE FUNCTION helper.clock() RETURNS timestamptz LANGUAGE plpgsql STABLE AS 'BEGIN RETURN current_timestamp; END';
        CREATE FUNCTION helper.newer_clock() RETURNS timestamptz LANGUAGE sql STABLE RETURN now();
        CREATE VIEW helper.moment AS SELECT now() AS t;
        CREATE FUNCTION helper.dice() RETURNS float8 LANGUAGE internal AS 'drandom'; CREATE TABLE helper.numbers AS SELECT 1 AS n; CREATE VIEW helper.half AS SELECT FROM helper.numbers TABLESAMPLE system (50);
        CREATE FUNCTION helper.sample() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM helper.numbers TABLESAMPLE bernoulli (10)); END';
        CREATE DOMAIN helper.wrapped AS json; CREATE TYPE helper.pair AS (data json, n integer);
        GRANT USAGE ON SCHEMA helper TO PUBLIC; GRANT SELECT ON helper.moment, helper.numbers, helper.half TO PUBLIC""")
    refused = site.tallymill("migrate")
    assert refused.code == 2, refused
    for number, (what, line) in enumerate(UNSTEADY):
        assert f"wrong_{number}.sql:{line}: " in refused.err, (what, refused)
    assert site.database.rows("SELECT rollup FROM tallymill.rollups") == [("counted",)]
    assert site.database.value("SELECT to_regclass('tallymill.rollup_query') IS NULL")


def test_what_only_looks_like_it_is_taken(make_site, tmp_path):
    """Events that are named like times, and functions that a session's UTC makes exact."""
    fine = {
        "names": "count(*) FILTER (WHERE event_name IN ('now', 'today', ' tomorrow ')) AS events, max(event_name) AS now",
        "days": "count(*) AS events, min(created_at::date) AS first_day, max(to_char(created_at, 'HH24:MI')) AS last, max(date_trunc('hour', created_at)) AS hour",
        "types": "count(*) AS events, array_agg(DISTINCT event_name) AS names, jsonb_agg(1) AS data, min(id::text)::uuid AS id, "
                 "max(created_at)::timestamp AS at, int4range(1, 2) AS range, 'x'::varchar(3) AS short, '1.2.3.4'::inet AS host, 1.5::float8 AS x, "
                 "'{1,2}'::float4[] AS many, true AS yes, 'a'::\"char\" AS c, b'1' AS bit, interval '1 s' AS i, ARRAY['1.2.3.4'::cidr] AS nets",
        "helped": "public.half(count(*)) AS events",
    }
    site = make_site(migrate=False, **{"rollups.dir": directory(tmp_path, **{name: counted_as(name, what) for name, what in fine.items()})})
    site.database.run("CREATE FUNCTION public.half(n bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN n / 2; END'")
    migrated = site.tallymill("migrate")
    assert migrated.code == 0, migrated
    site.send(event("now", DAY_US + number) for number in range(4))
    site.drain()
    site.fold()
    verified = site.tallymill("verify", "--strict")
    assert verified.code == 0, verified


def test_a_slow_query_holds_up_neither_the_statistics_nor_the_stop(make_site, tmp_path):
    slow = COUNTED.replace("counted", "slow").replace("count(*) AS events", "count(*) AS events, (SELECT count(pg_sleep(60))) AS slept")
    site = make_site(**{"rollups.dir": directory(tmp_path, slow=slow)})
    running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    aggregator, worker = site.aggregator(), site.worker()
    site.send(event("login", DAY_US + number) for number in range(5))
    wait_until(lambda: site.database.value(running) == 1, 40, "the slow query to run")
    site.send(event("signup", DAY_US + number) for number in range(5))
    wait_until(lambda: site.database.rows("SELECT event_count FROM analytics_daily_stats WHERE event_name = 'signup'") == [(5,)],
               40, "the statistics, while the query runs")
    assert site.database.value(running) == 1
    assert [worker.stop(), aggregator.stop()] == [0, 0]
    wait_until(lambda: site.database.value(running) == 0, 40, "Postgres to give the query up")
    assert site.database.value("SELECT count(*) FROM analytics_daily_slow") == 0


def test_rows_of_an_older_snapshot_never_replace_newer_ones(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    site.send(event("login", DAY_US + number) for number in range(5))
    site.drain()
    site.fold()
    site.database.run("UPDATE tallymill.changes SET version = version + 1; UPDATE tallymill.rollup_runs SET ran_at = ran_at - interval '1 hour'")
    run = "SELECT count(*) FROM tallymill.run_rollups_between((SELECT epoch FROM tallymill.leader), 'counted', '-infinity', current_date)"
    with site.database.session() as older, older.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        assert site.database.value(run) > 0
        with pytest.raises(psycopg2.errors.SerializationFailure):
            cursor.execute(run)
    # An aggregator that leads no more computes nothing.
    site.database.run("UPDATE tallymill.changes SET version = version + 1")
    assert site.database.value(run.replace("(SELECT epoch FROM tallymill.leader)", "(SELECT epoch - 1 FROM tallymill.leader)")) == 0


def test_a_day_of_a_detached_month_is_never_computed(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED)})
    last_month = datetime.date(TODAY.year, TODAY.month, 1) - datetime.timedelta(days=1)
    at = int(datetime.datetime(last_month.year, last_month.month, 15, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000
    site.send(event("login", at + number) for number in range(4))
    site.drain()
    site.fold()
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{last_month:%Y_%m}")
    site.database.run(f"UPDATE tallymill.months SET state = 'archived' WHERE month = '{last_month:%Y-%m}-01'")
    site.database.run("UPDATE tallymill.changes SET version = version + 1")
    directory(tmp_path, counted=COUNTED.replace("count(*)", "count(*) + 1"))
    assert site.tallymill("migrate").code == 0
    site.fold()
    assert site.database.value("SELECT max(events) FROM analytics_daily_counted WHERE date <= %s", last_month) == 4
    assert site.database.value("SELECT min(events) FROM analytics_daily_counted WHERE date > %s", last_month) == 1


def two_months_week():
    """The first day of a month of the last three that is no Monday."""
    first_days = ((TODAY.replace(day=1) - datetime.timedelta(days=days)).replace(day=1) for days in (1, 40, 70))
    return next(day for day in first_days if day.weekday())


def counted_by_day_and_week(make_site, tmp_path, first_day):
    """A site with seven events around midnight of that day, three of them the day before, counted by day and by week."""
    weekly = COUNTED.replace("daily", "weekly").replace("date", "week").replace("day_events", "week_events")
    so_far = COUNTED.replace("daily_counted", "daily_counted_so_far").replace("-- cadence", "-- looks_back: all\n-- cadence").replace(
        "day_events", "settled_events WHERE created_at < (current_setting('tallymill.day')::date + 1)::timestamp AT TIME ZONE 'UTC'")
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED, counted_by_week=weekly, counted_so_far=so_far)})
    at = int(datetime.datetime(first_day.year, first_day.month, 1, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000
    site.send(event("login", at + number * 3_600_000_000) for number in range(-3, 4))
    site.drain()
    site.fold()
    assert counts(site) == [7, 7]
    return site


def counts(site):
    return [site.database.value(f"SELECT coalesce(sum(events), 0) FROM analytics_{period}_counted") for period in ("daily", "weekly")]


@pytest.mark.parametrize("rollup", ["counted", "counted_by_week", "counted_so_far"])
def test_a_month_that_leaves_behind_the_snapshot_has_the_rollup_begin_again(make_site, tmp_path, rollup):
    """Postgres plans by the catalogue of now: in an older snapshot the month reads as empty, and so does half of the week, and a part of all days so far."""
    first_day = two_months_week()
    site = counted_by_day_and_week(make_site, tmp_path, first_day)
    period = {"counted": first_day, "counted_by_week": first_day - datetime.timedelta(days=first_day.weekday()), "counted_so_far": TODAY}[rollup]
    with site.database.session() as older, older.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{first_day:%Y_%m}")
        with pytest.raises(psycopg2.errors.SerializationFailure, match=f"table analytics_events_{first_day:%Y_%m} left"):
            cursor.execute("SELECT tallymill.run_rollup(%s, %s)", (rollup, period))
        cursor.execute("ROLLBACK")
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg2.Error, match=f"table analytics_events_{first_day:%Y_%m} is no part") as refused:     # of now, and not of the snapshot
            cursor.execute("SELECT tallymill.run_rollup(%s, %s)", (rollup, period))
        assert refused.value.pgcode == "TM007"
        cursor.execute("ROLLBACK")
    assert counts(site) == [7, 7]


def test_a_month_detached_by_hand_costs_its_own_days_only(make_site, tmp_path):
    """Its state still says that it is open: the days keep their rows, and every other day goes on."""
    first_day = two_months_week()
    site = counted_by_day_and_week(make_site, tmp_path, first_day)
    site.send([event("login")])
    site.drain()
    site.fold()
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{first_day:%Y_%m}")
    directory(tmp_path, counted=COUNTED.replace("count(*)", "count(*) + 1"))
    assert site.tallymill("migrate").code == 0
    site.send([event("login")])
    site.drain()
    site.fold()
    rows = dict(site.database.rows("SELECT date, events FROM analytics_daily_counted"))
    assert (rows[first_day - datetime.timedelta(days=1)], rows[first_day], rows[TODAY]) == (4, 4, 3), rows     # one more than there are, but where nothing can be read
    errors = dict(site.database.rows("SELECT first_day, error FROM tallymill.rollup_runs WHERE rollup = 'counted' AND error IS NOT NULL"))
    assert first_day in errors and {(day.year, day.month) for day in errors} == {(first_day.year, first_day.month)}, errors
    assert all(error.startswith("TM007") for error in errors.values()), errors
    verified = site.tallymill("verify")
    assert "no part of analytics_events" in verified.out and "DAMAGE" not in verified.out, verified


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


def test_hostile_attributes_stop_no_rollup(make_site):
    site = make_site(**{"rollups.dir": ""})
    strange = [None, True, 10**17, -0.0, 1e300, "", "x" * 5000, "ä\u202e\n", [1], {"a": {}}, "NaN"]
    names = ("doc_generation", "performance", "checkout_completed", "quality_score", "oauth_flow", "batch_generation", "usage_alert",
             "error", "code_input", "trial", "signup", "session_start")
    for value in strange:
        data = {key: value for key in ("doc_type", "language", "success", "duration", "score", "grade", "provider", "action", "tier",
                                       "amount", "error_type", "file_count", "success_count", "percent_used", "latency", "cache", "llm")}
        site.send(event(name, DAY_US, session_id="s", user_id=1, event_data=data) for name in names)
    site.drain()
    folded = site.fold()
    assert "query failed" not in folded.err, folded
    verified = site.tallymill("verify")
    assert verified.code == 0 and "aside" not in verified.out, verified


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
