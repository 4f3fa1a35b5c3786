"""Rollups whose query fails, hangs or meets hostile values: it costs them alone."""

import json

from .harness.publisher import event
from .harness.rolling import COUNTED, DAY, DAY_US, counted_as, directory, failing_sql, one_day, wait_for_count
from .harness.waiting import wait_until


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
