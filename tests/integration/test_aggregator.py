"""The aggregator alone: batches are written as a worker writes them, by SQL, so that a test decides which days each one holds.

Kafka takes no part here.  After every scenario the statistics are compared with the raw query in one snapshot, over the
batches at or below `folded`; a day that waits for a rebuild is set aside.  All aggregators run with a login that has only
`tallymill_aggregate`.
"""

import collections
import datetime
import io
import random
import uuid

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.exactness import differences
from .harness.waiting import wait_until

NAMES = ("session_start", "code_input", "doc_generation", "doc_export", 'we"ird\\name, {quoted}', "NULL")
UTC = datetime.timezone.utc
TOPIC = "written-by-hand"
LOGIN = "aggregator_only"

COMMIT = """
    SELECT tallymill.commit_batch(%s, %s, %s, %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                                  %s::bigint[], %s, %s::bigint[], %s::bytea[])"""


class Writer:
    """Claims topic partitions and commits batches; one connection, as a worker has."""

    def __init__(self, dsn, partitions=4, topic=TOPIC):
        self.topic = topic
        self.connection = psycopg2.connect(dsn, options="-c TimeZone=UTC")
        self.cursor = self.connection.cursor()
        self.cursor.execute("SELECT topic_partition, epoch, next_offset FROM tallymill.claim(%s, 'cluster', 'group', 'writer', %s)",
                            (topic, list(range(partitions))))
        claimed = self.cursor.fetchall()
        self.epochs = {number: epoch for number, epoch, _ in claimed}
        self.next_offset = {number: next_offset for number, _, next_offset in claimed}
        self.connection.commit()

    def begin_batch(self, rows):
        """Sends rows (topic partition, name, session, user, internal, created_at) and their ledger rows; COMMIT is the caller's."""
        self.cursor.execute("SELECT nextval('tallymill.batch_ids')")
        (batch_id,) = self.cursor.fetchone()
        lines, times = io.StringIO(), collections.defaultdict(list)
        for number, name, session, user, internal, created_at in rows:
            times[number].append(created_at)
            lines.write("\t".join(map(_copy_text, (uuid.uuid4(), name, session, user, internal, created_at, batch_id))) + "\n")
        lines.seek(0)
        self.cursor.copy_expert("COPY analytics_events (id, event_name, session_id, user_id, is_internal, created_at, batch_id)"
                                " FROM STDIN", lines)
        numbers = sorted(times)
        stored = [len(times[number]) for number in numbers]
        first = [self.next_offset[number] for number in numbers]
        after = [start + count for start, count in zip(first, stored)]
        none = [0] * len(numbers)
        days = ["{%s}" % ",".join(sorted({str(time.date()) for time in times[number]})) for number in numbers]
        self.cursor.execute(COMMIT, (batch_id, self.topic, numbers, [self.epochs[number] for number in numbers], first, after, stored,
                                     none, none, none, days, [end - 1 for end in after], [b"hash"] * len(numbers)))
        self.next_offset.update(zip(numbers, after))
        return batch_id

    def batch(self, rows):
        batch_id = self.begin_batch(rows)
        self.connection.commit()
        return batch_id


def _copy_text(value):
    return "\\N" if value is None else str(value).replace("\\", "\\\\").replace("\t", "\\t")


def random_rows(source, count, days=1.0, end=None, partitions=4, sessions=400):
    """External and internal rows, spread over the last `days` before `end`; sessions in several spellings."""
    end = end or datetime.datetime.now(UTC)
    made = []
    for _ in range(count):
        number = source.randrange(sessions)
        known = uuid.UUID(int=number + (7 << 76))
        session = source.choice((None, "", f"plain-{number}", str(known), str(known).upper(), f"täglich \\ {number}"))
        user = source.choice((None, 0, number, -number, 2**63 - 1))
        at = end - datetime.timedelta(seconds=source.random() * 86_400 * days)
        made.append((source.randrange(partitions), source.choice(NAMES), session, user, source.random() < 0.06, at))
    return made


def at_day(days_ago, hour=12):
    """Noon (or another hour) of a UTC day in the past."""
    midnight = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - datetime.timedelta(days=days_ago) + datetime.timedelta(hours=hour)


def row(at, name="login", session="a", user=1, internal=False, number=0):
    return (number, name, session, user, internal, at)


@pytest.fixture(name="place")
def make_place(make_site):
    """A function that makes a site whose aggregators log in with only their role: place(build=..., **settings)."""

    def make(**how):
        site = make_site(**how)
        site.database.run(f"""
            DO $$ BEGIN CREATE ROLE {LOGIN} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
            GRANT tallymill_aggregate TO {LOGIN};
            SELECT count(tallymill.make_month(m::date))
            FROM generate_series(date_trunc('month', now() - interval '13 months'), now(), interval '1 month') m""")
        dsn = extensions.make_dsn(site.database.dsn, user=LOGIN)
        text = site.settings.read_text().replace(site.database.dsn, dsn)
        assert dsn in text
        site.settings.write_text(text)
        return site

    return make


def assert_exact(site, folded=True):
    assert differences(site) == []
    if folded:
        assert site.database.value("SELECT count(*) FROM tallymill.unfolded") == 0
        assert site.database.value("SELECT count(*) FROM tallymill.days WHERE dirty_since IS NOT NULL") == 0


def wait_until_leading(aggregator, deadline=30):
    wait_until(lambda: "msg=leading" in aggregator.log() or 'msg="leading"' in aggregator.log(), deadline, "the aggregator to lead")


def count_of(site, day, name="login"):
    return site.database.rows("SELECT event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                              " WHERE date = %s AND event_name = %s", day.date(), name)


def test_a_batch_over_a_day_in_memory_and_one_that_is_not_counts_once_in_each(place):
    site = place()
    writer = Writer(site.database.dsn)
    aggregator = site.aggregator()
    today, before = at_day(0, 0), at_day(40)
    writer.batch([row(today)])
    wait_until(lambda: count_of(site, today) == [(1, 1, 1)], 30, "the first event to be counted")
    writer.batch([row(today, session="b"), row(before, session="c", number=1), row(before, internal=True, number=2)])
    wait_until(lambda: count_of(site, before) == [(1, 1, 1)], 30, "the late event to be counted")
    assert count_of(site, today) == [(2, 2, 1)]
    writer.batch([row(today, session="b", user=None), row(before, session="d", user=2)])
    site.wait_until_folded()
    assert count_of(site, today) == [(3, 2, 1)] and count_of(site, before) == [(2, 2, 2)]
    assert aggregator.stop() == 0
    assert_exact(site)


def test_random_batches_are_exact_at_every_moment(place):
    site = place()
    source = random.Random(11)
    writers = [Writer(site.database.dsn), Writer(site.database.dsn, topic="another")]
    aggregator = site.aggregator("--set", "aggregator.interval=20 ms")
    for number in range(60):
        writer = writers[number % 2]
        writer.batch(random_rows(source, source.randrange(1, 400), days=source.choice((0.1, 1, 3, 90))))
        if number % 4 == 0:
            assert_exact(site, folded=False)
    site.wait_until_folded()
    assert aggregator.stop() == 0
    assert_exact(site)


def test_a_closed_day_stays_closed_and_exact_when_late_events_come(place):
    site = place()
    writer = Writer(site.database.dsn)
    day = at_day(20)
    writer.batch([row(day)])
    site.fold()
    (closed_at, created_at), = site.database.rows(
        "SELECT closed_at, created_at FROM tallymill.days JOIN analytics_daily_stats ON date = day WHERE day = %s", day.date())
    assert closed_at is not None
    writer.batch([row(day, session="late"), row(day, name="signup")])
    site.fold()
    assert count_of(site, day) == [(2, 2, 1)]
    assert site.database.rows("SELECT closed_at, created_at FROM tallymill.days JOIN analytics_daily_stats ON date = day"
                              " WHERE day = %s AND event_name = 'login'", day.date()) == [(closed_at, created_at)]
    assert_exact(site)


def test_every_day_that_has_ended_is_closed(place):
    site = place(**{"aggregator.close_after": "0 s"})
    writer = Writer(site.database.dsn)
    writer.batch([row(at_day(3)), row(at_day(1)), row(at_day(0, 0))])
    site.fold()
    closed = site.database.rows("SELECT day FROM tallymill.days WHERE closed_at IS NOT NULL ORDER BY 1")
    assert [day for day, in closed][:1] == [at_day(3).date()] and (at_day(1).date(),) in closed
    assert (at_day(0).date(),) not in closed
    # What others changed in an open day's rows is seen when the day is closed.
    site.database.run("UPDATE tallymill.days SET closed_at = NULL WHERE day = current_date - 1; DELETE FROM analytics_events"
                      " WHERE created_at >= current_date - 1 AND created_at < current_date")
    site.fold()
    assert count_of(site, at_day(1)) == []
    assert_exact(site)


@pytest.mark.parametrize("failpoint", ["cycle_begin", "rows_read", "stats_written", "before_commit", "after_commit"])
def test_killed_at_each_step_it_counts_nothing_twice_and_loses_nothing(place, failpoint):
    site = place(build="check")
    source = random.Random(failpoint)
    writer = Writer(site.database.dsn)
    for hit in (1, 2, 3):
        aggregator = site.aggregator("--set", "aggregator.interval=10 ms", failpoint=f"{failpoint}:exit:{hit}")
        for _ in range(200):
            writer.batch(random_rows(source, 40, days=source.choice((0.5, 3))))
            if not aggregator.is_running():
                break
        assert aggregator.wait(30) == 86, aggregator.log()
        assert_exact(site, folded=False)
    site.fold()
    assert_exact(site)


def test_a_standby_takes_over_when_the_leader_is_killed_or_stopped(place):
    site = place()
    source = random.Random(3)
    writer = Writer(site.database.dsn)
    leader = site.aggregator(name="first")
    wait_until_leading(leader)
    for ending in ("kill", "stop"):
        standby = site.aggregator(name=f"after-{ending}")
        wait_until(lambda: "standing by" in standby.log(), 30, "the second aggregator to stand by")
        writer.batch(random_rows(source, 300, days=2))
        getattr(leader, ending)()
        wait_until_leading(standby)
        writer.batch(random_rows(source, 300, days=2))
        site.wait_until_folded()
        leader = standby
    assert leader.stop() == 0
    assert site.database.value("SELECT epoch FROM tallymill.leader") == 3
    assert_exact(site)


def test_a_leader_that_moves_keeps_its_place_and_one_frozen_inside_its_cycle_loses_it(place):
    """Two sites at the same time, since both answers take half a minute."""
    source = random.Random(4)
    moving, freezing = place(), place(build="check")
    leader = moving.aggregator()
    wait_until_leading(leader)
    beside = moving.aggregator("--once", name="beside")

    writer = Writer(freezing.database.dsn)
    writer.batch(random_rows(source, 500, days=2))
    frozen = freezing.aggregator(failpoint="stats_written:stop:1", name="frozen")
    wait_until(frozen.is_frozen, 30, "the leader to stop itself inside its cycle")
    done = freezing.run("tallymill-aggregator", "--once", deadline=60)  # sees that nothing moves, and ends that transaction
    assert done.code == 0, done
    assert_exact(freezing)
    frozen.thaw()
    writer.batch(random_rows(source, 500, days=2))
    freezing.wait_until_folded()
    assert frozen.stop() == 0
    assert_exact(freezing)

    writer = Writer(moving.database.dsn)
    while beside.is_running():  # it gives up after half a minute
        writer.batch(random_rows(source, 200, days=2))
        moving.wait_until_folded()
        assert_exact(moving, folded=False)
    assert beside.wait(1) == 1 and "another aggregator leads" in beside.log()
    assert leader.stop() == 0


def test_gaps_are_stepped_over(place):
    site = place()
    writer = Writer(site.database.dsn, partitions=1)
    cursor = writer.cursor
    cursor.execute("SELECT tallymill.record_gap(%s, 0, %s, 100, 'retention')", (TOPIC, writer.epochs[0]))
    writer.next_offset[0] = 100
    writer.batch([row(at_day(0, 0))])
    cursor.execute("SELECT tallymill.record_gap(%s, 0, %s, 500, 'reset')", (TOPIC, writer.epochs[0]))
    writer.connection.commit()
    site.fold()
    assert site.database.rows("SELECT next_offset FROM tallymill.folded") == [(500,)]
    assert_exact(site)


def test_a_batch_whose_rows_are_gone_is_waited_for_and_then_given_up(place):
    site = place()
    writer = Writer(site.database.dsn)
    site.fold()
    gone = writer.batch([row(at_day(1)), row(at_day(1), session="b", number=1), row(at_day(0, 0), number=2)])
    writer.batch([row(at_day(1), session="c")])
    site.database.rows("DELETE FROM analytics_events WHERE batch_id = %s AND session_id = 'b'", gone)
    done = site.fold()
    assert "has not the rows that the ledger says" in done.err and f"batch_id={gone}" in done.err
    assert count_of(site, at_day(1)) == [(2, 2, 1)]
    assert_exact(site)


def test_statistics_of_names_without_events_go_when_the_day_is_rebuilt(place):
    site = place()
    writer = Writer(site.database.dsn)
    writer.batch([row(at_day(2)), row(at_day(2), name="signup")])
    aggregator = site.aggregator()
    wait_until(lambda: count_of(site, at_day(2), "signup") == [(1, 1, 1)], 30, "both names to be counted")
    site.database.rows("DELETE FROM analytics_events WHERE event_name = 'signup'")
    site.database.rows("UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'erased' WHERE day = %s", at_day(2).date())
    wait_until(lambda: count_of(site, at_day(2), "signup") == [], 30, "the name without events to go")
    assert count_of(site, at_day(2)) == [(1, 1, 1)]
    assert aggregator.stop() == 0


def test_days_of_an_archived_month_are_never_rebuilt(place):
    site = place()
    writer = Writer(site.database.dsn)
    day = at_day(100)
    leaf = f"analytics_events_{day:%Y_%m}"
    writer.batch([row(day), row(at_day(0, 0))])
    site.fold()
    writer.batch([row(day, session="too late"), row(at_day(0, 0), session="b")])
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf}; DROP TABLE {leaf}")
    site.database.rows("UPDATE tallymill.months SET state = 'archived' WHERE month = %s", day.date().replace(day=1))
    site.database.rows("UPDATE tallymill.days SET dirty_since = now(), closed_at = NULL WHERE day = %s", day.date())
    site.fold()
    assert count_of(site, day) == [(1, 1, 1)] and count_of(site, at_day(0)) == [(2, 2, 1)]
    assert differences(site) == []


def waiting(site):
    return site.database.rows("SELECT day FROM tallymill.days WHERE dirty_since IS NOT NULL ORDER BY day")


def test_the_days_of_a_month_that_was_detached_by_hand_and_then_archived_wait_no_more(place):
    site = place()
    writer = Writer(site.database.dsn)
    day = at_day(100)
    writer.batch([row(day)])
    site.fold()
    writer.batch([row(day, session="b")])
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{day:%Y_%m}")
    site.fold()
    assert waiting(site) == [(day.date(),)]
    rebuilt = site.tallymill("rebuild", day.date())
    assert rebuilt.code == 0 and "no part of analytics_events" in rebuilt.out, rebuilt
    site.database.rows("UPDATE tallymill.months SET state = 'archived' WHERE month = %s", day.date().replace(day=1))
    site.fold()
    assert waiting(site) == [] and count_of(site, day) == [(1, 1, 1)]


@pytest.mark.parametrize("is_waiting", [False, True], ids=["rows-not-yet-folded", "a-day-that-waits"])
def test_a_month_detached_by_hand_holds_up_no_other_and_is_caught_up_with(place, is_waiting):
    """Its state still says that it is open: nobody archived it, and it may be back at any time."""
    site = place()
    writer = Writer(site.database.dsn)
    day = at_day(100)
    leaf = f"analytics_events_{day:%Y_%m}"
    writer.batch([row(day), row(at_day(0, 0))])
    site.fold()
    if is_waiting:
        site.database.rows("DELETE FROM tallymill.days WHERE day = %s", day.date())
        site.database.rows("INSERT INTO tallymill.days (day, dirty_since, dirty_reason) VALUES (%s, now(), 'asked')", day.date())
    else:
        writer.batch([row(day, session="b")])
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION {leaf}")
    writer.batch([row(at_day(0, 0), session="b")])
    aggregator = site.aggregator()
    wait_until(lambda: count_of(site, at_day(0)) == [(2, 2, 1)], 30, "the other month to go on")
    assert count_of(site, day) == [(1, 1, 1)] and waiting(site) == [(day.date(),)]
    first = day.date().replace(day=1)
    following = (first + datetime.timedelta(days=32)).replace(day=1)
    site.database.run(f"ALTER TABLE analytics_events ATTACH PARTITION {leaf} FOR VALUES FROM ('{first}') TO ('{following}')")
    wait_until(lambda: differences(site) == [] and waiting(site) == [], 30, "the month to be caught up with")
    assert count_of(site, day) == ([(1, 1, 1)] if is_waiting else [(2, 2, 1)])
    assert aggregator.stop() == 0


def test_a_month_that_leaves_inside_a_cycle_keeps_its_statistics(place):
    """The cycle's snapshot still shows the month, but what Postgres plans after the detachment no longer reads it."""
    site = place(build="check")
    writer = Writer(site.database.dsn)
    day = at_day(100)
    leaf = f"analytics_events_{day:%Y_%m}"
    writer.batch([row(day), row(at_day(0, 0))])
    site.fold()
    site.database.rows("UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day = %s", day.date())
    aggregator = site.aggregator(failpoint="cycle_begin:stop:1")
    wait_until(aggregator.is_frozen, 30, "the aggregator to stop itself inside its cycle")
    site.database.run(f"SET lock_timeout = '20s'; ALTER TABLE analytics_events DETACH PARTITION {leaf}; DROP TABLE {leaf};"
                      f" UPDATE tallymill.months SET state = 'archived', changed_at = clock_timestamp() WHERE month = '{day:%Y-%m}-01'")
    aggregator.thaw()
    writer.batch([row(at_day(0, 0), session="b")])
    wait_until(lambda: count_of(site, at_day(0)) == [(2, 2, 1)], 30, "the aggregator to go on")
    assert aggregator.stop() == 0
    assert count_of(site, day) == [(1, 1, 1)]
    assert differences(site) == []


def test_a_long_backlog_is_taken_in_by_days(place):
    site = place(**{"memory.max": "32 MiB"})
    writer = Writer(site.database.dsn)
    writer.batch([row(at_day(0, 0))])
    site.fold()
    site.database.run(f"""
        INSERT INTO analytics_events (event_name, session_id, user_id, created_at, batch_id)
        SELECT 'login', g % 5000, g % 777, current_date - (g % 4) + interval '1 second', 1000000 + g FROM generate_series(1, 20000) g;
        INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates,
                                       dead_letters, skipped, days)
        SELECT 1000000 + g, 1000000 + g, '{TOPIC}', 1, g - 1, g, 1, 0, 0, 0, ARRAY[current_date - (g % 4)]
        FROM generate_series(1, 20000) g""")
    done = site.fold()
    assert "a backlog is taken in by days" in done.err, done
    assert_exact(site)


def test_a_day_too_big_for_memory_is_counted_by_postgres(place):
    site = place(**{"memory.max": "32 MiB"})
    writer = Writer(site.database.dsn)
    site.database.run("DROP INDEX idx_analytics_events_session, idx_analytics_events_user, idx_analytics_events_name_created,"
                      " idx_analytics_events_category_created")
    site.database.run(f"""
        INSERT INTO analytics_events (event_name, session_id, user_id, created_at, batch_id)
        SELECT 'login', g, g, current_date - 1 + interval '1 second', 1000000 FROM generate_series(1, 500000) g;
        INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates,
                                       dead_letters, skipped, days)
        SELECT 1000000, 1000000, '{TOPIC}', 1, 0, 500000, 500000, 0, 0, 0, ARRAY[current_date - 1]""")
    writer.batch([row(at_day(3)), row(at_day(0, 0)), row(at_day(1), name="signup")])
    done = site.fold()
    assert "day counted by Postgres" in done.err, done
    assert_exact(site)


def test_more_event_names_than_one_set_has_bits_are_counted_apart(place):
    site = place()
    writer = Writer(site.database.dsn)
    aggregator = site.aggregator()
    for turn in range(3):
        writer.batch([row(at_day(0, 0), name=f"name-{number}", session=f"s-{number % 7}", user=number % 5) for number in range(300)]
                     + [row(at_day(0, 0), name=f"only-{turn}")])
        site.wait_until_folded()
        assert_exact(site)
    assert aggregator.stop() == 0


def test_it_comes_back_after_postgres_was_gone(place):
    site = place()
    source = random.Random(6)
    Writer(site.database.dsn).batch(random_rows(source, 500, days=2))
    aggregator = site.aggregator()
    site.wait_until_folded()
    site.stack.restart_postgres("immediate")
    Writer(site.database.dsn).batch(random_rows(source, 500, days=2))
    site.wait_until_folded(despite=psycopg2.OperationalError)
    assert "trying again" in aggregator.log()
    assert aggregator.stop() == 0
    assert_exact(site)


def test_a_login_that_is_refused_for_a_while_is_waited_for(place):
    """As while a password is rotated. Five tries, after which other errors that no waiting mends are the end, take three seconds."""
    site = place()
    writer = Writer(site.database.dsn)
    aggregator = site.aggregator("--set", "log.level=debug")  # each try is a line
    wait_until_leading(aggregator)
    site.database.run(f"ALTER ROLE {LOGIN} NOLOGIN")
    try:
        site.database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{LOGIN}'")
        wait_until(lambda: aggregator.log().count("is not permitted to log in") >= 6, 60, lambda: f"it to go on trying:\n{aggregator.log()}")
    finally:
        site.database.run(f"ALTER ROLE {LOGIN} LOGIN")
    writer.batch([row(at_day(0, 0))])
    site.wait_until_folded()
    assert aggregator.stop() == 0


def test_months_are_made_ahead(place):
    site = place(**{"aggregator.months_ahead": "7"})
    site.fold()
    assert site.database.value("SELECT max(month) = (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '7 months')::date"
                               " FROM tallymill.months")


def test_a_login_without_the_role_is_a_settings_error(place):
    site = place()
    site.database.run(f"REVOKE tallymill_aggregate FROM {LOGIN}")
    done = site.run("tallymill-aggregator", "--once")
    assert done.code == 2 and "permission denied" in done.err, done
    assert f'GRANT tallymill_aggregate TO "{LOGIN}";' in done.err.replace("\\", ""), done  # the one that is missing
    site.database.run(f"GRANT tallymill_aggregate TO {LOGIN}")
    checked = site.run("tallymill-aggregator", "--check")
    assert checked.code == 0, checked
