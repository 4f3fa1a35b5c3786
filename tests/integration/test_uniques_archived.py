"""Uniques of months that leave, change while they are away, and come back; of persons who are erased from them; and of users who were there before all days that are kept.

TALLYMILL_UNIQUES_ROUNDS=1000: so many rounds (daily 4) of everything that can happen to months and persons, at random, each third killed at a step.
"""

import datetime
import os
import random
import sys

import pytest

from .harness.uniques import all_differences
from .test_uniques import STEPS, TODAY, count, seen, subjects_file, uniques

NEW = "SELECT coalesce(sum(keys), 0)::int FROM analytics_daily_uniques WHERE subject = '*' AND kind = 'user' AND population = %s AND date = %s AND previous_date = '-infinity'"


AGO = (TODAY - (TODAY - datetime.timedelta(days=100)).replace(day=15)).days    # so long ago is the middle of a month that may leave


class Months:
    """A site from which months leave, and a copy of the rows of those that have left: what all uniques are counted of."""

    def __init__(self, make_site, folder, build="release", **settings):
        (folder / "archive").mkdir()
        self.site = make_site(build=build, **{"uniques.subjects": subjects_file(folder), "archive.target": folder / "archive", **settings})
        self.database = self.site.database
        self.database.run("CREATE TABLE away AS SELECT * FROM analytics_events WITH NO DATA")
        self.events = "(SELECT * FROM analytics_events UNION ALL SELECT * FROM away)"
        self.left = set()

    def of(self, ago):
        return f"{TODAY - datetime.timedelta(days=ago):%Y-%m}"

    def leave(self, month):
        within = f"created_at >= '{month}-01' AND created_at < date '{month}-01' + interval '1 month'"
        self.database.run(f"INSERT INTO away SELECT * FROM analytics_events WHERE {within}")
        done = self.site.tallymill("archive", month)
        if done.code != 0:
            self.database.run(f"DELETE FROM away WHERE {within}")
            return done
        self.left.add(month)
        return None

    def come_back(self, month, *words):
        done = self.site.must("tallymill", "restore", month, *words)
        self.database.run(f"DELETE FROM away WHERE created_at >= '{month}-01' AND created_at < date '{month}-01' + interval '1 month'")
        self.left.discard(month)
        return done

    def erase(self, user):
        """The user, and the session that is theirs alone."""
        done = self.site.tallymill("erase", "--user", user, "--session", f"s{user}", "--yes", "--wait", 0)
        assert done.code in (0, 1), done
        self.database.run(f"DELETE FROM away WHERE user_id = {user} OR session_id = 's{user}'")
        return done

    def differences(self, kept="-infinity"):
        return all_differences(self.site, self.events, kept)


@pytest.fixture(name="months")
def make_months(make_site, tmp_path):
    return lambda **how: Months(make_site, tmp_path, **how)


def by(user, ago, **how):
    return seen(ago, f"s{user}", user, **how)


def test_the_table_is_right_while_a_month_is_away_and_when_it_is_back(months):
    here = months()
    old = here.of(AGO)
    count(here.site, [by(user, ago, internal=user == 4) for ago, users in ((AGO + 1, (1, 2, 4)), (AGO, (1, 3)), (40, (2, 5)), (10, (1, 2, 3)), (0, (1, 4, 6))) for user in users])
    assert here.differences() == []
    assert here.leave(old) is None
    assert here.differences() == []
    # Behind it and in it: late rows, rows of others, rows that go.
    count(here.site, [by(3, 60), by(1, 50), by(9, AGO), by(4, 55, internal=True)])
    here.database.run("INSERT INTO analytics_events (event_name, session_id, user_id, created_at) VALUES ('page_view', 's5', 5, now() - interval '20 days')")
    here.database.run("DELETE FROM analytics_events WHERE session_id = 's2' AND created_at < now() - interval '39 days';"
                      f" INSERT INTO tallymill.days (day, dirty_since, dirty_reason) SELECT d, now(), 'asked' FROM unnest(ARRAY[date '{TODAY}' - 40, date '{TODAY}' - 20]) d"
                      " ON CONFLICT (day) DO UPDATE SET dirty_since = now()")
    here.site.fold()
    assert here.differences() == []
    assert "1 dead letters were sent again" in here.come_back(old, "--replay").out
    here.site.drain()
    here.site.fold()
    assert here.differences() == [] and uniques(here.site, AGO + 1, 0, kind="user") == 6
    assert here.leave(old) is None and here.differences() == []
    here.site.must("tallymill", "verify", "--ranges", "40")


def test_a_month_that_holds_the_newest_day_leaves_with_its_keys(months):
    here = months()
    count(here.site, [by(1, AGO + 1), by(2, AGO), by(3, AGO)])
    assert here.leave(here.of(AGO)) is None
    count(here.site, [by(2, 1), by(4, 0)])
    assert here.differences() == [] and uniques(here.site, AGO + 1, 0) == 4


@pytest.mark.parametrize("step", (None, *STEPS))
def test_a_person_who_is_erased_goes_from_the_days_of_months_that_left(months, step):
    here = months(build="check")
    old = here.of(AGO)
    count(here.site, [by(user, ago) for ago, users in ((AGO + 1, (1, 2)), (AGO, (1, 2, 3)), (40, (1, 2)), (0, (1, 2))) for user in users])
    assert here.leave(old) is None
    done = here.erase(1)
    assert done.code == 1 and "days of months that left still count them" in done.err, done
    assert here.database.value("SELECT count(*) FROM tallymill.key_removals") > 0
    if step:
        killed = here.site.aggregator("--once", failpoint=f"{step}:exit", name="killed")
        assert killed.wait(60) == 86, killed.log()
    here.site.fold()
    assert here.differences() == [] and uniques(here.site, AGO + 1, 0, kind="user") == 2 and uniques(here.site, AGO + 1, AGO) == 2
    assert here.database.value("SELECT count(*) FROM tallymill.key_removals") == 0
    here.erase(3)    # the month comes back before the aggregator has come to it, and as it was where nobody has rewritten its archive
    here.come_back(old)
    here.site.fold()
    assert here.differences() == [] and here.database.value("SELECT count(*) FROM tallymill.key_removals") == 0


def test_users_who_were_there_before_all_days_that_are_kept_are_not_new(months):
    here = months()
    old, kept = here.of(AGO), TODAY - datetime.timedelta(days=30)
    count(here.site, [by(user, ago, internal=user == 7) for ago, users in ((AGO + 1, (1, 2, 7)), (AGO, (1, 3)), (60, (4, 2)), (45, (4, 5)), (10, (1, 4, 8, 7)), (2, (3, 9)), (0, (5, 6, 8))) for user in users])
    assert here.leave(old) is None
    keep = ("--set", "uniques.keep=30 days")
    here.site.must("tallymill-aggregator", "--once", *keep)
    assert here.differences(kept) == []
    assert here.database.rows("SELECT DISTINCT day FROM tallymill.day_keys WHERE day < %s", kept) == [(datetime.date(1, 1, 1),)]

    def new(ago, population="external"):
        return here.database.value(NEW, population, TODAY - datetime.timedelta(days=ago))

    assert (new(10), new(10, "internal"), new(2), new(0)) == (1, 0, 1, 1)    # 8; none; 9; 6
    here.site.send([by(2, 5), by(5, 5), by(10, 5), by(10, 1)])
    here.site.drain()
    here.site.must("tallymill-aggregator", "--once", *keep)
    assert here.differences(kept) == [] and (new(5), new(1)) == (1, 0)
    # Who is erased is nobody who was there before.
    here.erase(4)
    here.site.must("tallymill-aggregator", "--once", *keep)
    assert here.differences(kept) == []
    # Counted anew, the users of months that left are known still.
    here.database.run("SELECT tallymill.forget_uniques()")
    here.site.must("tallymill-aggregator", "--once", *keep)
    assert (new(10), new(10, "internal"), new(5), new(2)) == (1, 0, 2, 1)    # 5, whose days are attached and were never counted since, is new on day 5
    here.come_back(old)
    here.site.fold()    # and all days are kept again
    assert here.differences() == []
    here.site.must("tallymill", "verify", "--strict", "--ranges", "40")


def test_everything_at_random_to_months_and_persons(months, capsys):
    rounds = int(os.environ.get("TALLYMILL_UNIQUES_ROUNDS") or 4)
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    with capsys.disabled():
        print(f" [uniques of months: seed {seed}, {rounds} rounds]", file=sys.stderr, flush=True)
    source, kills, here = random.Random(seed), 0, months(build="check")
    agos = (165, 160, 135, 130, 128, 105, 100, 99, 72, 70, 20, 3, 0)

    def some(most):
        return [seen(ago, f"s{user}", user if source.random() < 0.8 else None, source.choice(("login", "page_view", "said")), internal=source.random() < 0.2)
                for ago in agos for user in range(1, 10) if source.random() < most]

    def late():
        here.site.send(some(0.1))
        here.site.drain()

    def foreign():
        here.database.run("WITH changed AS (INSERT INTO analytics_events (event_name, session_id, user_id, created_at)"
                          f" SELECT 'login', 's' || n, n, now() - n * interval '{source.choice((1, 2))} days' FROM generate_series(1, 9) n RETURNING created_at)"
                          " INSERT INTO tallymill.days (day, dirty_since, dirty_reason) SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date, now(), 'asked' FROM changed"
                          " ON CONFLICT (day) DO UPDATE SET dirty_since = now()")

    def leave():
        month = here.of(source.choice(agos[:10]))
        if month not in here.left:
            here.site.fold()
            refused = here.leave(month)
            assert refused is None or (refused.code == 1 and "waits" in refused.err), refused

    def come_back():
        if here.left:
            here.come_back(source.choice(sorted(here.left)), *source.choice(((), ("--replay",))))
            here.site.drain()

    def erase():
        here.erase(source.randrange(1, 10))

    count(here.site, some(0.5))
    for number in range(rounds):
        acts = [source.choice((late, foreign, leave, leave, come_back, erase)) for _ in range(source.randrange(1, 4))]
        if number == 0:
            acts = [leave, late, erase]
        for act in acts:
            act()
        if number % 3 == 0:
            killed = here.site.aggregator("--once", failpoint=f"{STEPS[number // 3 % 3]}:exit:{source.randrange(1, 5)}", name="killed")
            kills += killed.wait(60) == 86
        here.site.fold()
        wrong = here.differences()
        assert not wrong, f"round {number} ({[act.__name__ for act in acts]}, away: {sorted(here.left)}):\n" + "\n".join(map(str, wrong[:20]))
    assert kills > 0
    here.site.must("tallymill", "audit")
    here.site.must("tallymill", "verify", "--ranges", "50")
