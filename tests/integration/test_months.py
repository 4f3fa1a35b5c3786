"""Months: made on demand, border instants on the right side, and what an archived month does to its events."""

import pytest

from .harness.publisher import event, events, instant, now_us
from .harness.waiting import wait_until


def test_a_missing_month_is_made_and_its_events_stored(make_site):
    site = make_site(**{"window.oldest": "2019-01-01"})
    site.send([event(created_us=instant(f"20{year}-{month:02}-10")) for year in (19, 20, 21) for month in (1, 5, 12)])
    site.drain()
    assert site.outcomes() == (9, 0, 0, 0)
    assert site.database.value("SELECT count(*) FROM analytics_events_2020_05") == 1
    site.fold()
    site.assert_holds()


def test_a_month_dropped_under_a_running_worker_is_made_again(site):
    worker = site.worker()
    site.send(events(500, seed=1, days=1))
    site.wait_until_drained()
    site.database.run("""
        DO $$ DECLARE leaf regclass; BEGIN
          FOR leaf IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass LOOP
            EXECUTE format('ALTER TABLE analytics_events DETACH PARTITION %s', leaf);
            EXECUTE format('DROP TABLE %s', leaf);
          END LOOP; END $$""")
    before = len(site.publisher.acknowledged)
    site.send(events(500, seed=2, days=1))
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.database.value("SELECT count(*) FROM analytics_events") == 500
    later = site.publisher.acknowledged[before:]
    assert {kind for kind in site.verdict(acknowledged=later).kinds() if kind == "acknowledged and lost"} == set()


def test_two_workers_that_need_the_same_month_at_once_both_get_it(make_site):
    site = make_site(partitions=2, **{"window.oldest": "2019-01-01"})
    workers = [site.worker(), site.worker()]
    for number in range(400):
        site.publisher.send(event(created_us=instant("2019-02-10") + number), partition=number % 2)
    site.publisher.flush()
    site.wait_until_drained()
    assert [worker.stop() for worker in workers] == [0, 0]
    site.fold()
    site.assert_holds()


def test_events_of_an_archived_month_are_dead_letters_and_their_neighbours_rows(make_site):
    site = make_site(**{"window.oldest": "2025-01-01"})
    site.database.run("INSERT INTO tallymill.months (month, state) VALUES ('2026-01-01', 'archived')")
    made = [event(created_us=instant("2026-01-15") + n) if n % 10 == 0 else event(created_us=instant("2026-02-15") + n)
            for n in range(500)]
    site.send(made)
    site.drain()
    assert site.outcomes() == (450, 0, 50, 0)
    assert site.reasons() == {"archived_month": 50}
    site.fold()
    site.assert_holds()


def test_the_last_and_first_microseconds_of_months_lie_in_their_tables(make_site):
    site = make_site(**{"window.oldest": "2026-01-01"})
    site.send([event(created_us=instant("2026-02-01") + shift) for shift in (-1, 0, 1)])
    site.drain()
    assert site.database.rows("SELECT tableoid::regclass::text, count(*) FROM analytics_events GROUP BY 1 ORDER BY 1") == [
        ("analytics_events_2026_01", 1), ("analytics_events_2026_02", 2)]
    site.fold()
    site.assert_holds()


def test_the_window_ends_a_day_ahead_and_begins_thirteen_months_back(site):
    hour = 3_600_000_000
    site.send([event(created_us=now_us() + 23 * hour), event(created_us=now_us() + 25 * hour),
               event(created_us=now_us() - 380 * 24 * hour), event(created_us=now_us() - 430 * 24 * hour)])
    site.drain()
    assert site.outcomes() == (2, 0, 2, 0)
    assert site.reasons() == {"ts_range": 2}
    site.fold()
    site.assert_holds()

@pytest.mark.parametrize("state", ["AB123", "22012"])
def test_a_month_that_an_event_trigger_refuses_is_waited_for_however_long(make_site, state):
    """With whatever SQLSTATE, or an error of the trigger's own; its event is stored as soon as the month can be made, however often it was tried before."""
    site = make_site(partitions=1)
    refusal = "PERFORM 1 / (SELECT 0)" if state == "22012" else f"RAISE EXCEPTION 'no DDL this weekend' USING ERRCODE = '{state}'"
    name = f"frozen_{site.topic.replace('-', '_')}"
    site.database.run(f"""
        CREATE FUNCTION public.{name}() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {refusal}; END $$;
        CREATE EVENT TRIGGER {name} ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.{name}()""")
    site.send([event(), event(created_us=now_us() - 200 * 86_400_000_000)])
    worker = site.worker()
    wait_until(lambda: "tries=5" in worker.log(), 60, lambda: f"the month to be tried again:\n{worker.log()[-3000:]}")
    said = worker.log().rsplit("tries=5", 1)[1]
    assert "TM007" in said and f"ALTER EVENT TRIGGER {name} DISABLE" in said, said
    site.database.run(f"ALTER EVENT TRIGGER {name} DISABLE")
    site.wait_until_drained()
    worker.stop()
    site.fold()
    assert site.outcomes() == (2, 0, 0, 0)
    site.assert_holds()
