"""Rows 28, 29 and 31 with `tallymill archive` and `restore` in the mix: months that leave and come back while events flow, whatever ends a run.

Nothing leaves for good here: at the end every acknowledged event is a row again, those that came while their month was away included.
"""

from faults.registry import row
from faults.rows.months import COUNT, OLDEST, far_months, send_into
from integration.harness.waiting import wait_until

END_BACKENDS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name IN ('tallymill archive', 'tallymill restore') AND datname = current_database()"
STATE = "SELECT state FROM tallymill.months WHERE month = %s"


def begin(round):
    target = round.folder / "archive"
    target.mkdir()
    round.make_site(partitions=4, **{"window.oldest": OLDEST, "archive.target": target, "archive.part_size": "64 KiB", "archive.detach_deadline": "2 s"})
    round.start(workers=2, aggregators=1)
    return far_months(round.random)


def fill(round, month, count=400):
    send_into(round, month, count)
    round.site.publisher.flush()
    wait_until(lambda: round.site.database.value(COUNT, month, month) >= count, round.patience(), f"rows in {month:%Y-%m}")


def ended_at_random(round, command, month):
    """A run that is killed, or whose server process is, at a random moment, unless it is quicker."""
    run = round.site.start("tallymill", command, f"{month:%Y-%m}", name=f"{command}-{round.injected}")
    round.let_flow(0.0, 0.8)
    if round.random.random() < 0.5:
        run.kill()
    else:
        round.site.database.run(END_BACKENDS)
        run.wait(60)


def carried_on(round, command, month):
    """The same again until it is done: a month may wait for its statistics, or for a reader."""
    wait_until(lambda: round.site.tallymill(command, f"{month:%Y-%m}", *(["--replay"] if command == "restore" else [])).code == 0, round.patience(), f"{command} of {month:%Y-%m}")


def away_and_back(round, month):
    carried_on(round, "archive", month)
    assert round.site.database.value(STATE, month) == "archived"
    send_into(round, month, 20)    # they wait as dead letters
    round.recovered()
    ended_at_random(round, "restore", month)
    carried_on(round, "restore", month)


@row("28/archive", "a long reader while a month is archived", want=20, faults=4, limit=30)
def reader_meanwhile(round):
    months = begin(round)
    with round.flow(rate=200):
        for _ in range(round.count):
            month = next(months)
            fill(round, month)
            with round.site.database.session() as reading:
                reading.autocommit = False
                reading.cursor().execute("SELECT count(*) FROM analytics_events")
                ended_at_random(round, "archive", month)
                round.struck(f"{month:%Y-%m} is to leave beside a reader")
                round.recovered()    # nobody stands still
            away_and_back(round, month)


@row("29/archive", "months archived and restored while events come, killed at random", want=60, faults=6, limit=30)
def month_archived(round):
    months = begin(round)
    with round.flow(rate=200):
        for _ in range(round.count):
            month = next(months)
            fill(round, month)
            ended_at_random(round, "archive", month)
            round.struck(f"{month:%Y-%m} was leaving when its run ended")
            send_into(round, month, round.random.randrange(20))
            round.recovered()
            away_and_back(round, month)


@row("31/archive", "a month that is archived, and made anew by nobody", want=20, faults=4, limit=30)
def month_away(round):
    months = begin(round)
    with round.flow(rate=200):
        for _ in range(round.count):
            month = next(months)
            fill(round, month)
            carried_on(round, "archive", month)
            round.struck(f"{month:%Y-%m} has left")
            send_into(round, month, 50)
            round.site.publisher.flush()
            round.recovered()
            assert round.site.database.value("SELECT count(*) FROM tallymill.dead_letters WHERE reason = 'archived_month' AND replayed_at IS NULL") == 50
            carried_on(round, "restore", month)
            round.recovered()
