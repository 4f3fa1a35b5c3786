"""Rows 28 to 31 with `tallymill archive`, `restore` and `erase` in the mix: months leave and come back, and people go, while events flow, whatever ends a run.

No month leaves for good here: at the end every acknowledged event is a row again, those that came while their month was away included, and none of those who were erased is.
"""

from faults.registry import row
from faults.rows.months import COUNT, OLDEST, events_of, far_months, send_into, settle_without
from integration.harness.publisher import now_us, uuid_text
from integration.harness.waiting import wait_until

END_BACKENDS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name IN ('tallymill archive', 'tallymill restore', 'tallymill erase') AND datname = current_database()"
STATE = "SELECT state FROM tallymill.months WHERE month = %s"


def begin(round, aggregators=1):
    target = round.folder / "archive"
    target.mkdir()
    round.make_site(partitions=4, **{"window.oldest": OLDEST, "archive.target": target, "archive.part_size": "64 KiB", "archive.detach_deadline": "2 s"})
    round.start(workers=2, aggregators=aggregators)
    return far_months(round.random)


def fill(round, month, people, count=400):
    """Events of the month, and of one person in it; the user's number."""
    send_into(round, month, count)
    user = people.arrive(month)
    round.site.publisher.flush()
    wait_until(lambda: round.site.database.value(COUNT, month, month) >= count, round.patience(), f"rows in {month:%Y-%m}")
    round.recovered()
    return user


def ended_at_random(round, command, *words):
    """A run that is killed, or whose server process is, at a random moment, unless it is quicker."""
    run = round.site.start("tallymill", command, *words, name=f"{command}-{round.injected}-{len(round.site.programs)}")
    round.let_flow(0.0, 0.8)
    if round.random.random() < 0.5:
        run.kill()
    else:
        round.site.database.run(END_BACKENDS)
        run.wait(round.patience())


def carried_on(round, command, *words):
    """The same again until it is done: a month may wait for its statistics, or for a reader."""
    said = []

    def is_done():
        said[:] = [round.site.tallymill(command, *words, deadline=300)]
        return said[0].code == 0

    wait_until(is_done, round.patience(), lambda: f"{command} {words}: {said}")


class People:
    """Those who come, each with events in one month and some of now, and go by `tallymill erase`."""

    def __init__(self, round):
        self.round, self.ids, self.gone = round, {}, set()

    def arrive(self, month):
        """The user's number."""
        user, made = 1_000_000 + len(self.ids), events_of(month, self.round.random)
        theirs = [{**next(made), "user_id": user, "session_id": f"person {user}"} for _ in range(20)]
        for one in theirs[:5]:
            one["created_at"] = now_us()
        for one in theirs:
            self.round.site.publisher.send(one)
        self.ids[user] = {uuid_text(one["id"]) for one in theirs}
        return user

    def leave(self, user):
        """By a run that is ended at random, then by one that is not."""
        words = ("--user", user, "--session", f"person {user}", "--yes")
        ended_at_random(self.round, "erase", *words)
        self.round.struck(f"user {user} was leaving when the run ended")
        carried_on(self.round, "erase", *words)
        self.gone |= self.ids[user]


def away_and_back(round, month, people, user):
    """The month leaves, the person of it goes while it is away or once it is back."""
    label, is_away = f"{month:%Y-%m}", round.random.random() < 0.7
    carried_on(round, "archive", label)
    assert round.site.database.value(STATE, month) == "archived"
    send_into(round, month, 20)    # they wait as dead letters
    round.recovered()
    if is_away:
        people.leave(user)
        assert round.site.database.value(STATE, month) == "archived"
    ended_at_random(round, "restore", label)
    carried_on(round, "restore", label, "--replay")
    if not is_away:
        people.leave(user)


@row("28/archive", "a long reader while a month is archived", want=20, faults=4, limit=30)
def reader_meanwhile(round):
    months, people = begin(round), People(round)
    with round.flow(rate=200):
        while round.injected < round.count:
            month = next(months)
            user = fill(round, month, people)
            with round.site.database.session() as reading:
                reading.autocommit = False
                reading.cursor().execute("SELECT count(*) FROM analytics_events")
                ended_at_random(round, "archive", f"{month:%Y-%m}")
                round.struck(f"{month:%Y-%m} is to leave beside a reader")
                round.recovered()    # nobody stands still
            away_and_back(round, month, people, user)
    return settle_without(round, people.gone)


@row("29/archive", "months archived and restored while events come, killed at random", want=60, faults=6, limit=30)
def month_archived(round):
    months, people = begin(round), People(round)
    with round.flow(rate=200):
        while round.injected < round.count:
            month = next(months)
            user = fill(round, month, people)
            ended_at_random(round, "archive", f"{month:%Y-%m}")
            round.struck(f"{month:%Y-%m} was leaving when its run ended")
            send_into(round, month, round.random.randrange(20))
            round.recovered()
            away_and_back(round, month, people, user)
    return settle_without(round, people.gone)


@row("30/archive", "a month that leaves or comes back and a person who goes, at once, beside writers and aggregators", want=60, faults=6, limit=30)
def all_at_once(round):
    months, people = begin(round, aggregators=2), People(round)
    with round.flow(rate=300):
        while round.injected < round.count:
            month = next(months)
            label, user, other = f"{month:%Y-%m}", fill(round, month, people), people.arrive(month)
            round.recovered()
            command = "archive" if round.random.random() < 0.5 else "restore"
            if command == "restore":
                carried_on(round, "archive", label)
            beside = round.site.start("tallymill", command, label, name=f"{command}-beside-{round.injected}")
            round.let_flow(0.0, 0.5)
            people.leave(user)    # one of the two comes second, and says so
            beside.wait(round.patience())
            round.crew.kill("worker", round.random.randrange(2))
            round.crew.kill("aggregator", round.random.randrange(2))
            round.struck("a worker and an aggregator killed", 2)
            round.recovered()
            carried_on(round, "archive", label)
            people.leave(other)
            carried_on(round, "restore", label, "--replay")
            round.recovered()
    return settle_without(round, people.gone)


@row("31/archive", "a month that is archived, and made anew by nobody", want=20, faults=4, limit=30)
def month_away(round):
    months, people = begin(round), People(round)
    with round.flow(rate=200):
        while round.injected < round.count:
            month = next(months)
            user = fill(round, month, people)
            carried_on(round, "archive", f"{month:%Y-%m}")
            round.struck(f"{month:%Y-%m} has left")
            send_into(round, month, 50)
            round.site.publisher.flush()
            round.recovered()
            people.leave(user)
            assert round.site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE reason = 'archived_month' AND replayed_at IS NULL") == 50
            carried_on(round, "restore", f"{month:%Y-%m}", "--replay")
            round.recovered()
    return settle_without(round, people.gone)
