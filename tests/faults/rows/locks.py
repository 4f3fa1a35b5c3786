"""Rows 28 and 30: others at the same tables: long readers while months are added; erasure and other programs beside the writers.

Nothing here is timed. That an insert does not queue behind a reader is seen from what is stored while the reader's transaction is
still open, and from nobody waiting for its process. A deadlock is made on purpose: we hold what a service comes to need, wait until
it waits for us, and ask for what it holds. Our own session's deadlock_timeout is long, so that the service is the one that is ended.
"""

import datetime

import psycopg2

from faults.registry import row
from faults.rows.months import COUNT, OLDEST, far_months, send_into, settle_without
from integration.harness.publisher import event, now_us, uuid_text
from integration.harness.waiting import wait_until

WAITS_FOR = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
DAY_US = 86_400_000_000


@row(28, "a long reader while a month is added", want=40, faults=8, limit=30, daily=2)
def long_reader(round):
    round.make_site(partitions=4, **{"window.oldest": OLDEST})
    round.start(workers=2, aggregators=1)
    months = far_months(round.random)
    with round.flow(rate=200):
        round.recovered()
        for _ in range(round.count):
            _add_beside_a_reader(round, next(months))
            round.recovered()


def _add_beside_a_reader(round, month):
    """The events of a new month are stored and folded while a reader's transaction is open, and nobody waits for it."""
    with round.site.database.session() as reader, reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT pg_backend_pid(), count(*) FROM analytics_events")
        pid, seen = cursor.fetchone()

        def nobody_waits():
            assert round.site.database.value(WAITS_FOR, pid) == 0, "somebody waits for a transaction that only reads"
            return True

        send_into(round, month, 50)
        round.struck(f"{month:%Y-%m} is added beside a reader of {seen} rows")
        wait_until(lambda: nobody_waits() and round.site.database.value(COUNT, month, month) == 50, round.patience(),
                   f"the events of {month:%Y-%m} to be stored beside the reader")
        wait_until(lambda: nobody_waits() and round.site.database.value(
            "SELECT count(*) FROM analytics_daily_stats WHERE date >= %s AND date < %s + interval '1 month'", month, month),
            round.patience(), f"statistics of {month:%Y-%m} beside the reader")
        cursor.execute("SELECT count(*) FROM analytics_events")
        assert cursor.fetchone() == (seen,), "the reader's snapshot moved"


# What an erasure does, in one transaction: rows out, the books told, the days marked.
ERASE = """
    WITH gone AS (DELETE FROM analytics_events WHERE created_at >= %s AND created_at < %s + interval '1 day' AND hashtext(session_id) %% 4 = 0
                  RETURNING id::text, batch_id, created_at),
    told AS (INSERT INTO tallymill.removals (month, topic, first_batch_id, last_batch_id, rows, reason)
             SELECT date_trunc('month', created_at AT TIME ZONE 'UTC')::date, %s, batch_id, batch_id, count(*), 'erased'
             FROM gone WHERE batch_id IS NOT NULL GROUP BY 1, 3)
    SELECT id FROM gone"""
MARK = """
    INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason) VALUES (%s, clock_timestamp(), 'erased')
    ON CONFLICT (day) DO UPDATE SET dirty_since = coalesce(d.dirty_since, excluded.dirty_since), dirty_reason = 'erased'"""
INSERT = """
    INSERT INTO analytics_events (id, event_name, is_internal, created_at) VALUES (%s, %s, true, timestamptz 'epoch' + %s * interval '1 us')
    ON CONFLICT (id, created_at) DO NOTHING"""


class ByHand:
    """One transaction of somebody else's, on a connection of its own."""

    def __init__(self, round):
        self.round = round
        self.connection = psycopg2.connect(round.site.database.dsn, options="-c TimeZone=UTC -c deadlock_timeout=2min")
        self.cursor = self.connection.cursor()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def wait_until_met(self):
        """Returns once a service waits for this transaction."""
        pid = self.connection.info.backend_pid
        wait_until(lambda: self.round.site.database.value(WAITS_FOR, pid), self.round.patience(), "a service to wait for the transaction by hand")

    def erase(self, day):
        self.cursor.execute(ERASE, (day, day, self.round.site.topic))
        gone = {one for one, in self.cursor.fetchall()}
        self.cursor.execute(MARK, (day,))
        return gone

    def insert(self, one):
        self.cursor.execute(INSERT, (uuid_text(one["id"]), one["event_name"], one["created_at"]))


def cross_with_the_aggregator(round, age):
    """An erasure of an older day, then of a newer one; the aggregator rebuilds them in the opposite order. Returns the ids that went.
    Days that nobody has met before: to one that the aggregator has in its cache it only adds the events, and waits for nobody."""
    older, newer = (datetime.date.today() - datetime.timedelta(days=age + more) for more in (1, 0))
    with ByHand(round) as hand:
        gone = hand.erase(older)
        for day in (newer, older):
            at_us = (day - datetime.date(1970, 1, 1)).days * DAY_US
            for number in range(30):
                round.site.publisher.send(event("login", at_us + number, session_id="the same for all", user_id=number))
        hand.wait_until_met()
        gone |= hand.erase(newer)
        hand.connection.commit()
    return gone


def cross_with_a_worker(round, _age):
    """Another program inserts by itself what also comes through Kafka, in the opposite order: each event is there once, whoever stored it.
    Internal events: other programs' rows are in the statistics within a minute only, which the checker would not wait for."""
    session = f"crossing-{round.random.random()}"  # one topic partition, so that they keep their order
    made = [event("login", now_us() + number, session_id=session, is_internal=True) for number in range(40)]
    with ByHand(round) as hand:
        hand.insert(made[-1])
        for one in made:
            round.site.publisher.send(one)
        hand.wait_until_met()
        for one in reversed(made):
            hand.insert(one)
        hand.connection.commit()
    return set()


@row(30, "ingest, erasure and aggregator locking at once", want=60, faults=8, limit=30, daily=2)
def locking_at_once(round):
    site = round.make_site(partitions=4)
    site.log_in_as("tallymill_services")
    name = psycopg2.extensions.parse_dsn(site.database.dsn)["dbname"]
    site.database.run(f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '3s'")  # time for us to close the circle on a busy machine
    round.start(workers=2, aggregators=2)
    gone, ages = set(), round.random.sample(range(5, 300, 2), round.count)
    with round.flow(rate=300):
        round.recovered()
        for number, age in enumerate(ages):
            cross = (cross_with_a_worker, cross_with_the_aggregator)[number % 2]
            gone |= cross(round, age)
            round.struck(f"{cross.__name__}: {site.database.value(DEADLOCKS)} deadlocks so far")
            round.recovered()
    assert site.database.value(DEADLOCKS) > 0, "no deadlock came about"
    return settle_without(round, gone)
