"""Rows 29 and 31: months that leave while their events come in, and months that are not there.

A month leaves in one of two ways. As an archiver takes it: its state says so first, then it is detached, its rows are entered into the
books as removed, and it is dropped; events that come for it are dead letters from then on. Or by hand: detached and dropped in one
transaction; the next event for it has it made anew. The rows that left are counted out of what the checker is told was acknowledged.
"""

import datetime

import psycopg2

from faults.registry import row
from integration.harness.publisher import event
from integration.harness.waiting import wait_until

OLDEST = "2008-01-01"
EPOCH = datetime.date(1970, 1, 1)
COUNT = "SELECT count(*) FROM analytics_events WHERE created_at >= %s AND created_at < %s + interval '1 month'"
TELL = """
    INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
    SELECT %s, %s, batch_id, batch_id, count(*), 'archived' FROM {leaf} GROUP BY batch_id"""
MARK = """
    INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason)
    SELECT day::date, clock_timestamp(), 'removed by hand' FROM generate_series(%s, %s + interval '1 month' - interval '1 day', '1 day') day
    ON CONFLICT (day) DO UPDATE SET dirty_since = clock_timestamp(), dirty_reason = excluded.dirty_reason"""


def far_months(source):
    """First days of months long ago, each once, in no order; none of them is there before events come for it."""
    months = [datetime.date(year, month, 1) for year in range(2008, 2025) for month in range(1, 13)]
    source.shuffle(months)
    return iter(months)


def events_of(month, source):
    """Events of that month without end."""
    first_us = (month - EPOCH).days * 86_400_000_000
    number = 0
    while True:
        number += 1
        yield event(source.choice(("login", "error", "doc_export")), first_us + source.randrange(28 * 86_400_000_000),
                    session_id=f"s-{number % 97}", user_id=number % 31)


def send_into(round, month, count):
    made = events_of(month, round.random)
    for _ in range(count):
        round.site.publisher.send(next(made))


def leaf_of(month):
    return f"analytics_events_{month:%Y_%m}"


def _detach(round, month, connection):
    """Plainly, or concurrently as the archiver does; begun again when the lock is not to be had in two seconds, or where somebody who has the month waits for the table."""
    way = round.random.choice(("", " CONCURRENTLY"))
    statement = f"ALTER TABLE analytics_events DETACH PARTITION {leaf_of(month)}"

    def detached():
        with connection.cursor() as cursor:
            cursor.execute("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = %s::regclass", (leaf_of(month),))
            pending = cursor.fetchone()
            cursor.execute("SET lock_timeout = '2s'")
            if pending:
                cursor.execute(statement + (" FINALIZE" if pending[0] else way))
        return True

    wait_until(detached, 60, f"{month:%Y-%m} to be detached", (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected))


def _take_out(round, month, cursor):
    """The rows of a detached month leave: told to the books, and their ids returned."""
    cursor.execute(f"SELECT id::text FROM {leaf_of(month)}")
    gone = {one for one, in cursor.fetchall()}
    cursor.execute(TELL.format(leaf=leaf_of(month)), (month, round.site.topic))
    cursor.execute(f"DROP TABLE {leaf_of(month)}")
    return gone


def archive(round, month):
    with round.site.database.session() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE tallymill.months SET state = 'detaching', changed_at = clock_timestamp() WHERE month = %s", (month,))
        _detach(round, month, connection)
        cursor.execute("BEGIN")
        gone = _take_out(round, month, cursor)
        cursor.execute("UPDATE tallymill.months SET state = 'archived', changed_at = clock_timestamp() WHERE month = %s", (month,))
        cursor.execute("COMMIT")
    return gone


def drop_by_hand(round, month):
    def dropped():
        with round.site.database.session() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            cursor.execute(f"ALTER TABLE analytics_events DETACH PARTITION {leaf_of(month)}")
            gone = _take_out(round, month, cursor)
            cursor.execute(MARK, (month, month))
            cursor.execute("COMMIT")
        return gone

    return wait_until(dropped, 60, f"{month:%Y-%m} to be dropped", (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected))


@row(29, "old months detached and dropped while their events come", want=60, faults=6, limit=30)
def month_leaves(round):
    round.make_site(partitions=4, **{"window.oldest": OLDEST})
    round.start(workers=2, aggregators=1)
    gone, months = set(), far_months(round.random)
    with round.flow(rate=200):
        for _ in range(round.count):
            month = next(months)
            with round.flow(rate=500, made=events_of(month, round.random)):
                wait_until(lambda month=month: round.site.database.value(COUNT, month, month) > 300, round.patience(), f"rows in {month:%Y-%m}")
                round.let_flow(0.1, 1.0)
                leave = round.random.choice((archive, drop_by_hand))
                gone |= leave(round, month)
                round.struck(f"{month:%Y-%m} left: {leave.__name__}")
                round.let_flow(0.5, 1.5)
            round.recovered()
    return settle_without(round, gone)


def settle_without(round, gone):
    """The verdict over what was acknowledged and has not left on purpose."""
    round.site.publisher.flush()
    return round.settle(acknowledged=[one for one in round.site.publisher.acknowledged if one[0] not in gone])


@row(31, "a month that is missing", want=60, faults=10, limit=5)
def month_missing(round):
    round.make_site(partitions=4, **{"window.oldest": OLDEST})
    round.start(workers=2, aggregators=1)
    months = far_months(round.random)
    with round.flow(rate=200):
        for _ in range(round.count):
            month = next(months)
            round.site.database.value("SELECT tallymill.make_month(%s)", month)
            round.site.database.run(f"DROP TABLE {leaf_of(month)}")
            send_into(round, month, 50)
            round.struck(f"{month:%Y-%m} was dropped before its events came")
            wait_until(lambda month=month: round.site.database.value(COUNT, month, month) == 50, round.patience(), f"the events of {month:%Y-%m}")
            round.recovered()
