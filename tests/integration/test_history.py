"""A long history and a large ledger: what is asked for a day costs what the day holds. Shown by pages read and by locks, never by time.

A statement that plans over a month has locked its table: so while another session holds every other month locked, only what
names its days to the planner goes on.
"""

import collections
import contextlib
import datetime
import json
import os
import random
import time

import psycopg2
import pytest

from .harness.publisher import event, events
from .harness.rolling import COUNTED, DAY, DAY_US, TODAY, directory, one_day
from .harness.waiting import wait_until

RANGED = COUNTED.replace("counted", "ranged").replace("-- cadence", "-- range: yes\n-- cadence").replace(
    "count(*) AS events FROM tallymill.day_events", "date, count(*) AS events FROM tallymill.range_events GROUP BY 1")
WEEKLY = COUNTED.replace("daily_counted", "weekly_counted").replace("date", "week").replace("day_events", "week_events")
MONTHS = 24
LEDGER_ROWS = 200_000
BIG_LEDGER = f"""
    INSERT INTO tallymill.owners (topic, topic_partition) VALUES ('much', 0);
    INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days)
    SELECT n + 1000000, n + 1000000, 'much', 0, n, n + 1, 0, 1, 0, 0, '{{}}' FROM generate_series(0, {LEDGER_ROWS - 1}) n;
    INSERT INTO tallymill.folded (topic, topic_partition, next_offset) VALUES ('much', 0, {LEDGER_ROWS})"""


def month_before(day, count):
    index = day.year * 12 + day.month - 1 - count
    return datetime.date(index // 12, index % 12 + 1, 1)


@contextlib.contextmanager
def every_other_month_locked(site, used):
    """Every month's table but those that hold one of these days, and what lies ahead."""
    names = {f"analytics_events_{day:%Y_%m}" for day in used}
    tables = [name for (name,) in site.database.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass AND inhrelid::regclass::text < %s",
        f"analytics_events_{TODAY:%Y_%m}") if name not in names]
    assert len(tables) >= MONTHS - 3
    with psycopg2.connect(site.database.dsn) as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def test_a_day_asks_for_no_month_but_its_own(make_site, tmp_path):
    """Taking events in, rebuilding, closing, rollups of a day, a month and a week, verify and status."""
    site = make_site(**{"rollups.dir": directory(tmp_path, counted=COUNTED, ranged=RANGED, weekly=WEEKLY)})
    for count in range(MONTHS):
        site.database.run(f"SELECT tallymill.make_month('{month_before(TODAY, count)}')")
    site.send(event("login", DAY_US + number) for number in range(10))
    site.drain()
    week = [DAY + datetime.timedelta(days=number - DAY.weekday()) for number in range(7)]
    with every_other_month_locked(site, [DAY - datetime.timedelta(days=1), *week, TODAY]):
        site.fold()
        assert one_day(site, "analytics_daily_counted", "events") == one_day(site, "analytics_daily_ranged", "events") == [(10,)]
        assert site.database.value("SELECT sum(events) FROM analytics_weekly_counted") == 10
        site.database.run(f"UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day = '{DAY}'")
        site.must("tallymill-aggregator", "--once", "--set", "memory.max=32 MiB")
        verified = site.tallymill("verify", f"{week[0]}..{TODAY}")
        assert verified.code == 0 and " 0 of" not in verified.out, verified
        site.database.run(f"UPDATE analytics_daily_stats SET event_count = 11 WHERE date = '{DAY}'; UPDATE analytics_daily_ranged SET events = 11")
        damaged = site.tallymill("verify", DAY.isoformat())
        assert damaged.code == 1 and damaged.out.count("DAMAGE ") == 2, damaged
        assert site.tallymill("status").code == 0


def pages(site, query):
    """Pages that the query reads, of whatever table."""
    with site.database.session() as session, session.cursor() as cursor:
        cursor.execute(f"SET tallymill.day = '{DAY}'; SET tallymill.first_day = '{DAY}'; SET tallymill.last_day = '{DAY}'")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
        plan = cursor.fetchone()[0][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_what_is_asked_for_a_day_costs_the_same_however_large_the_ledger(make_site):
    """Two hundred thousand rows that no merge has taken: every rollup within its bound, and no question reads the ledger."""
    site = make_site(**{"rollups.dir": ""})
    site.send(events(500, days=1))
    site.drain()
    site.fold()
    site.send([event("login", DAY_US)])
    site.drain()     # one batch is not folded
    asked = {
        "day_events": "SELECT count(*) FROM tallymill.day_events", "range_events": "SELECT count(*) FROM tallymill.range_events",
        "week_events": "SELECT count(*) FROM tallymill.week_events", "look_for_work": "SELECT * FROM tallymill.look_for_work('6 h')",
        "unfolded": "SELECT tallymill.unfolded_batches()"}
    before = {name: pages(site, query) for name, query in asked.items()}
    site.database.run(BIG_LEDGER)     # and no ANALYZE: statistics are as old as they like
    ledger_pages = site.database.value("SELECT pg_relation_size('tallymill.batches') / 8192")
    after = {name: pages(site, query) for name, query in asked.items()}
    assert ledger_pages > 2000 and all(after[name] < before[name] + 200 for name in asked), (before, after)
    site.must("tallymill-aggregator", "--once", "--set", "rollups.timeout=60 s")
    assert site.database.rows("SELECT rollup, error FROM tallymill.rollup_runs WHERE error IS NOT NULL OR ran_at IS NULL") == []
    assert site.tallymill("verify").code == 0


def test_no_function_that_is_planned_without_scans_is_compiled_for_it(make_site):
    """A scan that cannot be avoided counts as so dear then that Postgres compiles the query each time, which takes fifty times what it runs. (begin_cycle does it for its whole transaction.)"""
    site = make_site()
    compiled = "SELECT proname FROM pg_proc WHERE pronamespace = 'tallymill'::regnamespace AND 'enable_seqscan=off' = ANY (proconfig) AND NOT 'jit=off' = ANY (proconfig)"
    assert site.database.rows(compiled) == [("begin_cycle",)]


def test_a_plan_that_was_made_for_another_day_is_refused(make_site):
    site = make_site()
    one, other = (f"{TODAY:%Y-%m}-{day}" for day in ("01", "02"))  # of a month that there is
    with site.database.session() as session, session.cursor() as cursor:
        for view, name in (("day_events", "day"), ("week_events", "day"), ("range_events", "last_day")):
            cursor.execute(f"SET plan_cache_mode = force_generic_plan; SET tallymill.day = '{one}'; SET tallymill.first_day = '{one}'; SET tallymill.last_day = '{one}'")
            cursor.execute(f"PREPARE asked_{view} AS SELECT count(*) FROM tallymill.{view}; EXECUTE asked_{view}")
            assert cursor.fetchone() == (0,)
            cursor.execute(f"SET tallymill.{name} = '{other}'")
            with pytest.raises(psycopg2.Error, match="this plan was made for"):
                cursor.execute(f"EXECUTE asked_{view}")


def spread(days, name="login", **how):
    """Three events on each of so many days, from 40 days ago on."""
    first_us = DAY_US - 40 * 86_400_000_000
    return [event(name, first_us + day * 86_400_000_000 + number, **how) for day in range(days) for number in range(3)]


def test_a_range_query_that_counts_otherwise_over_many_days_than_over_one_is_found(make_site, tmp_path):
    """It compares each day with the smallest of the range: right for a day alone, wrong for a month."""
    mixing = RANGED.replace("ranged", "mixing").replace("count(*) AS events", "count(*) - min(count(*)) OVER () AS above")
    site = make_site(**{"rollups.dir": directory(tmp_path, mixing=mixing, ranged=RANGED)})
    site.send(spread(30) + [event("login", DAY_US - 30 * 86_400_000_000)])
    site.drain()
    site.fold()
    assert site.database.value("SELECT max(above) FROM analytics_daily_mixing") == 1
    verified = site.tallymill("verify")
    assert verified.code == 1 and "rollup mixing" in verified.out and "rollup ranged" not in verified.out, verified


def test_a_range_whose_query_fails_or_takes_too_long_costs_the_one_day_that_is_to_blame(make_site, tmp_path):
    fragile = RANGED.replace("ranged", "fragile").replace("count(*) AS events", "sum((event_data ->> 'n')::integer) AS events")
    slow = RANGED.replace("ranged", "slow").replace("count(*) AS events", "count(*) AS events, count(pg_sleep(CASE WHEN event_name = 'slow' THEN 600 ELSE 0 END)) AS slept")
    site = make_site(**{"rollups.dir": directory(tmp_path, aa_slow=slow.replace("daily_slow", "daily_aa_slow"), fragile=fragile, ranged=RANGED),
                        "rollups.timeout": "1 s"})
    bad_us = DAY_US - 29 * 86_400_000_000
    bad_day = DAY - datetime.timedelta(days=29)
    site.send([*spread(30, event_data={"n": 1}), event("login", bad_us, event_data={"n": "one"}), event("slow", bad_us)])
    site.drain()
    folded = site.fold()
    failed = site.database.rows("SELECT rollup, first_day, left(error, 5) FROM tallymill.rollup_runs WHERE error IS NOT NULL ORDER BY 1")
    assert failed == [("aa_slow", bad_day, "57014"), ("fragile", bad_day, "22P02")], folded
    counted = {table: site.database.rows(f"SELECT count(*), sum(events) FROM analytics_daily_{table}")[0] for table in ("aa_slow", "fragile", "ranged")}
    assert counted == {"aa_slow": (29, 87), "fragile": (29, 87), "ranged": (30, 92)}, counted
    assert "took longer than rollups.timeout" in folded.err and "rollup=aa_slow" in folded.err, folded
    verified = site.tallymill("verify")
    assert verified.code == 0 and "its query failed" in verified.out, verified


def test_status_says_what_is_left_and_for_how_long(make_site, tmp_path):
    site = make_site(**{"rollups.dir": directory(tmp_path, ranged=RANGED)})
    site.send(spread(20))
    site.drain()
    site.fold()
    directory(tmp_path, counted=COUNTED)
    assert site.tallymill("migrate").code == 0
    status, answer = site.tallymill("status"), json.loads(site.tallymill("status", "--json").out)
    assert "20 wait to be computed" in status.out, status
    assert (answer["rollups"]["waiting"], answer["rollups"]["done_last_minute"]) == (20, 20) and answer["rollups"]["left_us"] > 0, answer
    site.fold()
    answer = json.loads(site.tallymill("status", "--json").out)
    assert (answer["rollups"]["waiting"], answer["rollups"]["left_us"]) == (0, 0), answer
    # What has changed and may wait by its cadence is no backlog.
    site.database.run("UPDATE tallymill.rollups SET cadence = interval '6 h' WHERE rollup = 'ranged'")
    site.database.run("UPDATE tallymill.rollups SET cadence = interval '1 us' WHERE rollup = 'counted'")
    site.database.run("UPDATE tallymill.changes SET version = version + 1")
    changed = site.database.value("SELECT count(*) FROM tallymill.changes")
    status, answer = site.tallymill("status"), json.loads(site.tallymill("status", "--json").out)
    assert (answer["rollups"]["waiting"], answer["rollups"]["not_due"]) == (changed, changed), answer
    assert f"{changed} wait to be computed" in status.out and f"{changed} have changed and are not due yet" in status.out, status


LIVE_SECONDS = int(os.environ.get("TALLYMILL_LIVE_SECONDS", "0"))
OLDEST_ROLLUP = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - greatest(p.ran_at, r.defined_at))), 0)
    FROM tallymill.rollup_periods p JOIN tallymill.rollups r USING (rollup) WHERE p.is_stale AND p.cadence < interval '10 minutes'"""


@pytest.mark.skipif(LIVE_SECONDS == 0, reason="by name: TALLYMILL_LIVE_SECONDS=3600 tests/run integration -- -k live_load")
def test_under_a_live_load_that_no_merge_relieves_every_rollup_stays_young_and_then_the_merge_takes_the_ledger_in(make_site):
    """900 events a second, two workers, an hour: 1.1 million ledger rows. Then the merge is let in."""
    site = make_site(**{"rollups.dir": "", "aggregator.merge_every": "1 day", "metrics.listen": "127.0.0.1:0"})
    site.database.run("ALTER FUNCTION tallymill.is_worth_merging(integer) RENAME TO is_worth_merging_later;"
                      " CREATE FUNCTION tallymill.is_worth_merging(p_rows integer) RETURNS boolean LANGUAGE sql AS 'SELECT false'")
    workers, aggregator = [site.worker(), site.worker()], site.aggregator()
    live = site.start("tallymill-produce", "--generate", str(900 * LIVE_SECONDS), "--rate", "900", "--live")
    oldest = []

    def is_over():
        oldest.append(site.database.value(OLDEST_ROLLUP))
        return not live.is_running()

    wait_until(is_over, LIVE_SECONDS + 300, "the load to end")
    assert max(oldest) < 600, max(oldest)
    rows = site.database.value("SELECT count(*) FROM tallymill.batches")
    site.database.run("DROP FUNCTION tallymill.is_worth_merging(integer); ALTER FUNCTION tallymill.is_worth_merging_later(integer) RENAME TO is_worth_merging;"
                      " UPDATE tallymill.batches SET committed_at = committed_at - interval '1 hour'")
    wait_until(lambda: site.database.value("SELECT count(*) FROM tallymill.batches") < max(rows / 10, 21_000), 600, "the merge to take the ledger in")
    site.wait_until_folded(300)
    assert [program.stop() for program in (*workers, aggregator)] == [0, 0, 0]
    verified = site.tallymill("verify", deadline=900)
    assert verified.code == 0, verified


def test_months_that_alternate_line_by_line_are_imported_and_counted_like_sorted_ones(make_site):
    """Ten years of months in turn, so that every batch holds all of them: the same statistics as the same lines sorted, and no day is read more often."""
    site = make_site(partitions=1, **{"window.oldest": "120 months"})
    months = [month_before(TODAY, count) for count in range(1, 60)]
    lines = [json.dumps({"event_name": "login", "session_id": f"s{number % 500}", "created_at": f"{months[number % len(months)]:%Y-%m}-15T12:00:{number % 60:02}Z"})
             for number in range(12_000)]
    figures, rebuilt = [], []
    for order in (lines, sorted(lines, key=lambda line: json.loads(line)["created_at"])):
        sent = site.produce(stdin="\n".join(order).encode())
        assert sent.code == 0, sent
        site.drain(deadline=180)
        folded = site.fold()
        rebuilt.append(folded.err.count('msg="day rebuilt"'))
        figures.append(site.database.rows("SELECT date, event_count, unique_sessions FROM analytics_daily_stats ORDER BY 1"))
    assert [(day, count * 2, sessions) for day, count, sessions in figures[0]] == figures[1] and len(figures[0]) == len(months)
    assert rebuilt[0] <= len(months) + 2 and rebuilt[0] <= 2 * rebuilt[1], rebuilt


HISTORY_LINES = int(os.environ.get("TALLYMILL_HISTORY_LINES", "0"))
NAMES = ("login", "session_start", "code_input", "doc_export", "error")


def ten_years(count):
    """Lines of an import whose months alternate line by line over ten years, each as (text, day, name, session)."""
    source, months = random.Random(1), [month_before(TODAY, 1 + back) for back in range(120)]
    for number in range(count):
        month, day = months[number % len(months)], 1 + source.randrange(28)
        name, session = source.choice(NAMES), f"s{source.randrange(20_000)}"
        moment = f"{month:%Y-%m}-{day:02}T{source.randrange(24):02}:{source.randrange(60):02}:{number % 60:02}Z"
        yield json.dumps({"event_name": name, "session_id": session, "created_at": moment}), month.replace(day=day), name, session


def seconds_until_nothing_waits(site, path):
    """Of the import, a worker and an aggregator, one after the other, as in the bench `backfill`: side by side a rollup of six hours' cadence that met
    half of its days would wait for the rest of them, and the ratio would be of that."""
    began = time.monotonic()
    sent = site.produce(path, deadline=3600)
    assert sent.code == 0, sent
    site.drain(deadline=3600)
    site.fold(deadline=3600)
    took = time.monotonic() - began
    status = json.loads(site.must("tallymill", "status", "--json").out)
    assert (status["statistics"]["pending_batches"], status["statistics"]["dirty_days"], status["rollups"]["waiting"]) == (0, 0, 0), status
    return took


@pytest.mark.skipif(HISTORY_LINES == 0, reason="by name: TALLYMILL_HISTORY_LINES=578805 tests/run integration -- -k ten_years")
def test_ten_years_whose_months_alternate_line_by_line_are_counted_like_sorted_ones(make_site, tmp_path, record_property):
    """How long that takes against the same lines sorted is shown and recorded; at most twice is what was promised."""
    lines = list(ten_years(HISTORY_LINES))
    expected, sessions = collections.Counter(), collections.defaultdict(set)
    for _, day, name, session in lines:
        expected[day, name] += 1
        sessions[day, name].add(session)
    took = {}
    for order, made in (("alternating", lines), ("sorted", sorted(lines, key=lambda line: json.loads(line[0])["created_at"]))):
        path = tmp_path / f"{order}.ndjson"
        path.write_text("".join(text + "\n" for text, *_ in made))
        site = make_site(**{"rollups.dir": "", "window.oldest": "1970-01-01"})
        took[order] = seconds_until_nothing_waits(site, path)
        assert site.outcomes() == (len(lines), 0, 0, 0)
        assert site.database.value("SELECT count(*) FROM analytics_events") == len(lines)
        counted = site.database.rows("SELECT date, event_name, event_count, unique_sessions FROM analytics_daily_stats")
        assert {(day, name): (count, different) for day, name, count, different in counted} == {
            key: (count, len(sessions[key])) for key, count in expected.items()}
        path.unlink()
    ratio = took["alternating"] / took["sorted"]
    record_property("alternating over sorted", f"{ratio:.2f}")
    print(f"{len(lines):,} lines: alternating {took['alternating']:.1f} s, sorted {took['sorted']:.1f} s: {ratio:.2f}")


def test_rollups_of_a_month_that_is_not_analyzed_join_no_parts_row_by_row(site):
    """The planner expects one row of it, and would take nested loops: quadratic in the events of a day."""
    held = site.database.rows("SELECT proname, 'enable_nestloop=off' = ANY (proconfig) FROM pg_proc WHERE pronamespace = 'tallymill'::regnamespace"
                              " AND proname IN ('replace_rollup', 'rollup_differences') AND proargtypes::text LIKE '%% 1182' ORDER BY 1")
    assert held == [("replace_rollup", True), ("rollup_differences", True)]
