"""Deltas: what a worker leaves beside its rows is what the aggregator takes in, is gone afterwards, and can be missing or wrong without harm."""

import datetime
import time
import uuid

import pytest

from bench.statistics_rows import delta_of

from .harness.publisher import event, events
from .harness.waiting import wait_until
from .test_aggregator import Writer

TOTAL = "SELECT coalesce(sum(event_count), 0) FROM analytics_daily_stats"
ROWS = "SELECT count(*) FROM analytics_events WHERE NOT is_internal"
DELTAS = "SELECT count(*) FROM tallymill.deltas"
UNREAD = "delta does not fit"


def leave_deltas(site, count=3000):
    """Today is in the aggregator's memory; then workers store batches that nobody has folded yet."""
    site.send(events(count, seed=1))
    site.drain()
    site.fold()
    site.send(events(count, seed=2))
    site.drain()
    assert site.database.value(DELTAS) > 0


def test_a_batch_is_taken_in_from_its_delta_which_is_gone_afterwards(site):
    aggregator = site.aggregator()
    site.send(events(3000, seed=1))
    site.drain()
    site.wait_until_folded()
    site.assert_holds()
    aggregator.stop()
    aggregator.wait(30)
    assert site.database.value(DELTAS) == 0


def test_what_the_delta_says_is_believed_until_the_day_is_rebuilt(site):
    """A delta with another name than its rows have, under a right hash, shows in the statistics: they did come from it."""
    site.aggregator()
    writer, now, session = Writer(site.database.dsn), datetime.datetime.now(datetime.timezone.utc), str(uuid.UUID(int=7))
    writer.batch([(0, "login", session, 1, False, now)] * 100)
    site.wait_until_folded()
    batch = writer.begin_batch([(0, "login", session, 1, False, now)] * 100)
    made = delta_of([("logon", session, 1, False, now.toordinal() - datetime.date(1970, 1, 1).toordinal())] * 100)
    writer.cursor.execute("SELECT tallymill.add_delta(%s, %s)", (batch, made))
    writer.connection.commit()
    site.wait_until_folded()
    counts = "SELECT event_name, event_count, unique_sessions FROM analytics_daily_stats ORDER BY 1"
    assert site.database.rows(counts) == [("login", 100, 1), ("logon", 100, 1)]
    assert site.tallymill("rebuild", str(now.date())).code == 0
    wait_until(lambda: site.database.rows(counts) == [("login", 200, 1)], 30, "the day's rebuild")


@pytest.mark.parametrize("made", [
    [("b\0d", str(uuid.UUID(int=7)), 1, False, 0)], [("b\xff", str(uuid.UUID(int=7)), 1, False, 0)],
    [("login", str(uuid.UUID(int=7)), 1, False, 40 * 365)]], ids=["a NUL", "no UTF-8", "a day that the ledger does not name"])
def test_a_delta_of_somebody_who_means_harm_stops_nothing(site, made):
    """A login that may store batches may write any delta, under a right hash."""
    aggregator = site.aggregator()
    writer, now = Writer(site.database.dsn), datetime.datetime.now(datetime.timezone.utc)
    today = now.toordinal() - datetime.date(1970, 1, 1).toordinal()
    writer.batch([(0, "login", None, 1, False, now)] * 100)
    site.wait_until_folded()
    batch = writer.begin_batch([(0, "login", None, 1, False, now)] * 100)
    writer.cursor.execute("SELECT tallymill.add_delta(%s, %s)",
                          (batch, delta_of([(*made[0][:4], made[0][4] or today)] * 100)))
    writer.connection.commit()
    site.wait_until_folded()
    assert site.database.rows("SELECT event_name, event_count FROM analytics_daily_stats") == [("login", 200)]
    assert UNREAD in aggregator.log()


@pytest.mark.parametrize("damage", [
    "DELETE FROM tallymill.deltas", "UPDATE tallymill.deltas SET delta = substr(delta, 1, length(delta) - 1)",
    "UPDATE tallymill.deltas SET delta = ''", "UPDATE tallymill.deltas SET delta = set_byte(delta, 0, 2)",
    "UPDATE tallymill.deltas SET delta = set_byte(delta, 4, get_byte(delta, 4) # 1)",
    "UPDATE tallymill.deltas SET delta = delta || substr(delta, 6)"],
    ids=["missing", "cut", "empty", "another version", "another number of rows", "twice its entries"])
def test_without_a_delta_that_fits_the_rows_are_read(make_site, damage):
    """Under the sanitizers: the aggregator reads bytes that something else wrote."""
    site = make_site(build="asan", **{"aggregator.interval": "500ms"})
    aggregator = site.aggregator()
    site.send(events(300, seed=1, days=1))
    site.drain()
    site.wait_until_folded()
    site.database.run(f"""CREATE FUNCTION public.harm() RETURNS trigger LANGUAGE plpgsql AS $$
                          BEGIN {damage}; RETURN NULL; END $$;
                          CREATE TRIGGER harm AFTER INSERT ON tallymill.deltas FOR EACH ROW EXECUTE FUNCTION public.harm()""")
    site.send(events(1000, seed=2, days=1))
    site.drain()
    site.wait_until_folded()
    assert damage.startswith("DELETE") or UNREAD in aggregator.log()
    site.assert_holds()
    assert site.database.value(DELTAS) == 0


def test_bad_events_repeats_and_rows_stored_before_leave_a_right_delta_or_none(make_site):
    site = make_site(partitions=1)
    aggregator = site.aggregator()
    first = list(events(500, seed=1, days=1))
    site.send(first)
    site.drain()
    site.publisher.send_bytes(b"no event")
    site.send(list(events(200, seed=2, days=1)) + first[:100] + list(events(200, seed=3, days=1)) * 2)
    site.drain()
    site.wait_until_folded()
    assert site.outcomes()[1:] == (300, 1, 0)
    assert site.database.value(TOTAL) == site.database.value(ROWS), aggregator.log()
    site.assert_holds()


def test_rows_changed_by_hand_before_their_batch_was_taken_in_are_not_counted_from_its_delta(make_site):
    """A random run found it: the day is rebuilt while the batch waits behind another, whose rows are not all there; then the batch is taken in."""
    site = make_site(partitions=1, **{"batch.max_rows": 100})
    for age in (2, 1):      # one batch a day
        noon = (int(time.time()) // 86400 - age) * 86_400_000_000 + 43_200_000_000
        site.send([event("login", noon + number, session_id=f"s{number}", user_id=number) for number in range(100)])
        site.drain()
    assert site.database.value(DELTAS) == 2
    site.database.run("""DELETE FROM tallymill.deltas WHERE batch_id = 1;
                         DELETE FROM analytics_events WHERE session_id = 's7';
                         INSERT INTO tallymill.days (day, dirty_since, dirty_reason)
                         SELECT DISTINCT unnest(days), now(), 'asked' FROM tallymill.batches""")
    site.fold()
    assert site.database.rows("SELECT event_count, unique_sessions, unique_users FROM analytics_daily_stats") == [(99, 99, 99)] * 2


@pytest.mark.parametrize("trigger", [
    "BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION public.anonymize()",
    "AFTER INSERT ON analytics_events FOR EACH STATEMENT EXECUTE FUNCTION public.anonymize_all()"], ids=["before", "after"])
def test_where_a_trigger_may_change_the_rows_they_are_read(make_site, trigger):
    site = make_site()
    site.fold()     # makes the months
    site.database.run("""CREATE FUNCTION public.anonymize() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.session_id := 'somebody'; RETURN NEW; END $$;
                         CREATE FUNCTION public.anonymize_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         UPDATE analytics_events SET session_id = 'somebody'; RETURN NULL; END $$;"""
                      f"CREATE TRIGGER anonymize {trigger}")
    site.aggregator()
    site.send([event("login", session_id=f"s{number}") for number in range(200)])
    site.drain()
    site.wait_until_folded()
    assert site.database.rows("SELECT sum(event_count), max(unique_sessions) FROM analytics_daily_stats") == [(200, 1)]


def test_a_worker_whose_delta_is_refused_stores_its_batches_without(site):
    site.database.run("ALTER TABLE tallymill.deltas ADD CHECK (batch_id < 0)")
    site.send(events(1000, seed=6))
    worker = site.drain()
    assert site.outcomes() == (1000, 0, 0, 0) and "batch not stored, trying again" in worker.log()
    site.fold()
    site.assert_holds()


def test_deltas_die_with_the_server_and_the_rows_are_read(make_site):
    site = make_site()
    leave_deltas(site)
    site.stack.restart_postgres("immediate")
    assert site.database.value(DELTAS) == 0
    site.fold()
    site.assert_holds()


def test_a_backlog_that_is_passed_at_once_drops_its_deltas(make_site):
    """memory.max of 32 MiB: one intake is smaller than the backlog, and no day of it is in memory."""
    site = make_site(**{"memory.max": "32MiB"})
    site.send(events(60_000, seed=4, days=1))
    site.drain()
    assert site.database.value(DELTAS) > 0
    site.fold()
    site.assert_holds()
    assert site.database.value(DELTAS) == 0


def test_a_table_that_nobody_empties_stops_growing_and_costs_nothing_else(site):
    site.database.run("ALTER TABLE tallymill.deltas ALTER COLUMN delta SET STORAGE EXTERNAL;"
                      "INSERT INTO tallymill.deltas SELECT -n, decode(repeat('00', 1 << 20), 'hex') FROM generate_series(1, 257) n")
    site.send(events(2000, seed=5))
    site.drain()
    assert site.database.value("SELECT count(*) FROM tallymill.deltas WHERE batch_id > 0") == 0
    site.aggregator()
    site.wait_until_folded()
    site.assert_holds()
    wait_until(lambda: site.database.value(DELTAS) == 0, 30, "the hourly merge to empty it")
    assert site.database.value("SELECT pg_table_size('tallymill.deltas')") < 1 << 20
