"""tallymill erase, and what months that left hold of a person: the month comes back, loses their rows, has its statistics made anew, and leaves again, whatever ends the run.

TALLYMILL_ARCHIVE_ROUNDS=50: killed at every step (daily at two), and with all rollups.
"""

import json
import pathlib
import re
import shutil

import pytest

from .harness.program import ROOT
from .harness.publisher import event, instant
from .harness.waiting import wait_until
from .test_backup import client, restore as restore_dump
from .test_archive import CONTENT, LEAF, MONTH, FIRST, ROUNDS, STATISTICS, of_month

OTHER = "2025-02"
# Where a run may be ended: the return, the rows, each step of leaving again, the end.
STEPS = ("restore_loaded", "restore_indexed", "restore_committed", "erase_returned", "erase_month_erased", "archive_settled", "archive_part", "archive_written", "archive_manifest",
         "archive_loaded", "archive_proven", "archive_marked", "archive_detached", "archive_dropped", "erase_left_again")
THEIRS = ("--user", 777, "--session", 'the "7",\nth')


def of_the_person(count, seed=1, month=FIRST):
    """Some know the user, some only the session, whose text CSV must quote; and of others whose numbers and texts look alike."""
    start = instant(f"{month}T12:00:00")
    for n in range(count):
        yield event("login", start + (seed * 1000 + n) * 1_000_000, user_id=777 if n % 2 else None, session_id='the "7",\nth' if n % 3 == 0 or not n % 2 else None, event_data={"n": n})
    for n in range(4):
        yield event("login", start + (seed * 1000 + n) * 1_000_000, user_id=(7, 7777, 77, None)[n], session_id=('the "7",\nt', "the", '"the ""7"",\nth"', "777")[n])


class Erasing:
    def __init__(self, site, count=30):
        self.site, self.folder = site, pathlib.Path(site.settings.parent / "archive")
        self.folder.mkdir()
        self.worker, self.aggregator = site.worker(), site.aggregator()
        self.count = 0
        site.send([*of_month(200), event(), event()])
        self.publish(count)

    def publish(self, count, seed=1):
        self.site.send(of_the_person(count, seed))
        self.count += count
        self.settle()

    def settle(self):
        self.site.wait_until_drained()
        self.site.wait_until_folded()

    def archive(self, *words):
        wait_until(lambda: self.site.tallymill("archive", *(words or (MONTH,))).code == 0, 60, lambda: self.site.tallymill("archive", MONTH).err)

    def erase(self, *words):
        return self.site.tallymill("erase", *THEIRS, *words)

    def content(self):
        return self.site.database.rows(CONTENT, FIRST, FIRST)[0]

    def generations(self):
        return {path.parent.name for path in self.folder.rglob("*") if path.is_file()}

    def holds(self):
        """Not --strict: a rollup of the newest week may rest for hours."""
        self.site.must("tallymill", "audit", "--deep")
        done = self.site.must("tallymill", "verify")
        assert not [line for line in done.out.splitlines() if line.startswith("  aside") and not re.search("rollup|its month is archived", line)], done

    def is_without_them(self):
        """The month is away, and when it comes back it has nothing of theirs, and all of the others'."""
        assert self.site.database.value("SELECT state FROM tallymill.months WHERE month = %s", FIRST) == "archived"
        assert len(self.generations()) == 1, self.generations()
        self.site.must("tallymill", "archive", "--verify")
        self.site.must("tallymill", "audit", "--deep")
        before = self.site.database.rows(STATISTICS)
        self.site.must("tallymill", "restore", MONTH)
        self.settle()
        assert self.site.database.value("SELECT count(*) FROM analytics_events WHERE user_id = 777 OR session_id = %s", THEIRS[3]) == 0
        assert self.site.database.rows(STATISTICS) == before
        self.holds()


@pytest.fixture(name="erasing")
def make_erasing(make_site, tmp_path):
    def make(count=30, **how):
        build = how.pop("build", "release")
        folder = tmp_path / f"site-{make.sites}"
        make.sites += 1
        return Erasing(make_site(build=build, partitions=1, **{"aggregator.interval": "50 ms", "window.oldest": "2025-01-01", "archive.target": folder / "archive", "archive.part_size": "64 KiB", **how}), count)

    make.sites = 1
    return make


def test_a_person_is_gone_from_archived_months(erasing):
    here = erasing(**({"rollups.dir": ""} if ROUNDS > 2 else {}))    # all rollups of a month take half a minute
    others = here.content()[0] - here.count
    here.archive()
    assert here.generations() == {"0001"}
    refused = here.erase()
    assert refused.code == 2 and "which is archived" in refused.err and "--yes" in refused.err, refused
    assert json.loads(here.site.must("tallymill", "erase", *THEIRS, "--dry-run", "--json").out)["rows"] == {MONTH: here.count}
    assert here.generations() == {"0001"} and here.site.database.value("SELECT count(*) FROM tallymill.erasures") == 0
    done = here.erase("--yes", "--json")
    assert done.code == 0, done
    counts = json.loads(done.out)["counts"]
    assert (counts["rows"], counts["archives"]) == ({MONTH: here.count}, {MONTH: 2}), counts
    again = json.loads(here.site.must("tallymill", "erase", *THEIRS, "--json").out)
    assert again["counts"] == {} and here.generations() == {"0002"}
    here.is_without_them()
    assert here.content()[0] == others


def test_an_erasure_that_is_killed_at_any_step_is_gone_on_with(erasing):
    here = erasing(build="check")
    for number, step in enumerate(STEPS if ROUNDS > 2 else ("erase_returned", "archive_detached")):
        here.archive()
        killed = here.site.start("tallymill", "erase", *THEIRS, "--yes", failpoint=f"{step}:exit", name=step)
        assert killed.wait(120) == 86, f"{step}: {killed.log()}"
        here.site.must("tallymill", "audit")
        done = here.erase("--yes", "--json")
        assert done.code == 0, (step, done)
        counts = json.loads(done.out)["counts"]
        assert counts["rows"] == {MONTH: 30} and list(counts["archives"]) == [MONTH] and counts["archives"][MONTH] > 1, (step, counts)
        here.is_without_them()
        here.publish(30, seed=number + 2)


def test_what_was_not_reached_is_erased_again_once_it_can_be(erasing):
    here = erasing()
    site = here.site
    site.send(of_the_person(5, month=f"{OTHER}-01"))
    here.settle()
    here.archive(OTHER, "--set", "archive.target=none", "--drop", "--yes")
    here.archive()
    here.folder.rename(here.folder.parent / "elsewhere")
    done = here.erase("--yes")
    assert done.code == 1 and f"archive of {MONTH} could not be read" in done.err and OTHER not in done.err and "NOT COMPLETE" in done.out, done
    (here.folder.parent / "elsewhere").rename(here.folder)
    here.aggregator.kill()
    site.database.run("UPDATE tallymill.leader SET leader = ''")
    done = here.erase("--yes", "--wait", 0)
    assert done.code == 1 and "no aggregator leads" in done.err and "stays archived" in done.err and here.generations() == {"0001"}, done
    site.aggregator()
    wait_until(lambda: site.database.value("SELECT leader <> '' FROM tallymill.leader"), 30, "an aggregator to lead")
    done = site.tallymill("erase", "--again", "--yes")
    assert done.code == 0, done
    here.is_without_them()


def test_the_archive_of_a_month_that_was_restored_goes_too(erasing):
    here = erasing()
    here.archive()
    here.site.must("tallymill", "restore", MONTH)
    here.settle()
    done = here.erase("--yes")
    assert done.code == 0 and "goes: the month is in Postgres" in done.err, done
    assert here.generations() == set()
    here.holds()
    here.archive()
    here.is_without_them()


def test_no_first_month_leaves_while_somebody_is_erased(erasing):
    here = erasing()
    site = here.site
    here.worker.freeze()
    here.site.send(of_the_person(1, seed=2))
    erase = site.start("tallymill", "erase", *THEIRS, "--yes")
    wait_until(lambda: "messages are stored" in erase.log() or not erase.is_running(), 30, "erase to see what Kafka holds")
    done = site.tallymill("archive", MONTH)
    assert done.code == 1 and "another tallymill archive, restore or erase is at work" in done.err, done
    here.worker.thaw()
    assert erase.wait(120) == 0, erase.log()
    here.settle()
    here.archive()
    here.is_without_them()


def test_late_events_that_are_erased_are_counted_among_those_that_cannot_come_back(erasing):
    here = erasing()
    here.archive()
    here.site.send([*of_the_person(2, seed=3), event("login", instant(f"{FIRST}T13:00:00"), session_id="of another")])
    here.settle()
    waiting = f"SELECT waiting, emptied FROM tallymill.waiting_dead_letters() WHERE month = '{FIRST}'"
    assert here.site.database.rows(waiting) == [(7, 0)]
    assert json.loads(here.site.must("tallymill", "erase", *THEIRS, "--yes", "--json").out)["counts"]["dead_letters"] == 2
    assert here.site.database.rows(waiting) == [(5, 2)]
    assert set(here.site.database.rows("SELECT detail, message_key, message_value FROM tallymill.dead_letters WHERE emptied_at IS NOT NULL")) == {(f"month {MONTH} is archived", None, None)}
    [month] = [one for one in json.loads(here.site.must("tallymill", "months", "--json").out)["months"] if one["month"] == MONTH]
    assert (month["dead_letters_waiting"], month["dead_letters_emptied"]) == (5, 2), month
    assert "of 2 the bytes are gone" in here.site.must("tallymill", "restore", MONTH).out


@pytest.mark.parametrize("step", ("archive_marked", "archive_detached"))
def test_an_erasure_that_is_refused_leaves_months_on_their_way_out(erasing, step):
    here = erasing(build="check")
    state = "SELECT state FROM tallymill.months WHERE month = %s"

    def stopped():
        killed = here.site.start("tallymill", "archive", MONTH, failpoint=f"{step}:exit")
        return killed.wait(120) == 86 and here.site.database.value(state, FIRST) == "detaching"

    wait_until(stopped, 60, f"the month to be left at {step}")
    refused = here.erase()
    assert refused.code == 2 and MONTH in refused.err and "--yes" in refused.err, refused
    assert here.site.database.value(state, FIRST) == "detaching" and here.site.database.value("SELECT count(*) FROM tallymill.erasures") == 0
    counts = json.loads(here.site.must("tallymill", "erase", *THEIRS, "--yes", "--json").out)["counts"]
    assert counts["rows"] == {MONTH: here.count}, counts
    here.archive()
    here.is_without_them()


def test_a_month_that_cannot_come_back_is_named_and_the_others_lose_the_person(erasing):
    here = erasing()
    site = here.site
    site.send(of_the_person(5, month=f"{OTHER}-01"))
    here.settle()
    site.database.run("ALTER TABLE analytics_events ADD COLUMN extra text")
    here.archive(OTHER)    # the earlier one
    site.database.run("ALTER TABLE analytics_events DROP COLUMN extra")
    here.archive()
    for _ in range(2):
        done = here.erase("--yes", "--json")
        assert done.code == 1 and f"{OTHER} stays archived" in done.err and "extra" in done.err, done
        receipt = json.loads(done.out)
        assert not receipt["is_complete"] and any(f"{OTHER} stays archived" in remark for remark in receipt["remarks"]), receipt
        assert set(site.database.rows("SELECT state FROM tallymill.months WHERE month IN (%s, %s)", FIRST, f"{OTHER}-01")) == {("archived",)}
    assert site.database.rows("SELECT counts -> 'rows', counts -> 'archives' FROM tallymill.erasures ORDER BY receipt") == [({MONTH: here.count}, {MONTH: 2}), (None, None)]
    site.database.run("ALTER TABLE analytics_events ADD COLUMN extra text")
    counts = json.loads(site.must("tallymill", "erase", *THEIRS, "--yes", "--json").out)["counts"]
    assert (counts["rows"], counts["archives"]) == ({OTHER: 5}, {OTHER: 2}), counts
    here.archive(OTHER)
    site.must("tallymill", "audit", "--deep")


def test_a_month_that_may_not_leave_again_is_in_postgres_as_is_said(erasing):
    here = erasing()
    here.archive()
    here.site.database.run("CREATE TABLE public.odd PARTITION OF analytics_events DEFAULT")
    done = here.erase("--yes")
    assert done.code == 1 and f"{MONTH} is in Postgres, without them, and has not left again" in done.err and "table public.odd" in done.err, done
    assert here.site.database.value("SELECT state FROM tallymill.months WHERE month = %s", FIRST) == "restored"
    here.site.database.run("DROP TABLE public.odd")
    here.holds()
    assert here.erase("--yes").code == 0
    here.archive()
    here.is_without_them()


def test_a_month_whose_table_is_read_while_it_leaves_again_is_not_said_to_be_in_postgres(erasing):
    here = erasing(build="check", **{"archive.detach_deadline": "1 s"})
    here.archive()
    run = here.site.start("tallymill", "erase", *THEIRS, "--yes", "--wait", 20, failpoint="archive_detached:stop")
    wait_until(run.is_frozen, 60, lambda: f"the run to stop behind the detach; it said: {run.log()}")
    with here.site.database.session() as session, session.cursor() as cursor:
        cursor.execute(f"BEGIN; LOCK TABLE {LEAF} IN ACCESS SHARE MODE")
        run.thaw()
        assert run.wait(90) == 1 and f"{MONTH} is on its way out, without them, in no query meanwhile" in run.log(), run.log()
        assert here.site.database.value("SELECT state FROM tallymill.months WHERE month = %s", FIRST) == "detaching"
    assert here.erase("--yes").code == 0
    here.archive()
    here.is_without_them()


WEEK = "2025-01-27"    # until 2 February
COHORT = "SELECT cohort_week::text, active_users FROM analytics_weekly_cohorts WHERE week = %s ORDER BY 1"


def test_a_week_of_two_months_is_computed_without_them_wherever_its_months_are(erasing, tmp_path):
    """First January is away, and somebody of February goes; then both are, and somebody of January goes, in a run that is killed once both are back, and gone on with."""
    (tmp_path / "weekly").mkdir()
    shutil.copy(ROOT / "schemas/rollups/cohorts.sql", tmp_path / "weekly")
    here = erasing(0, build="check", **{"rollups.dir": tmp_path / "weekly"})
    site, database = here.site, here.site.database
    site.send([event("login", instant(f"{day}T12:00:00"), user_id=user, session_id=f"s-{user}") for day, user in (
        ("2025-01-08", 5), ("2025-01-29", 5), ("2025-02-01", 5), ("2025-01-29", 778), ("2025-01-30", 778), ("2025-02-01", 888), ("2025-02-02", 888), ("2025-02-20", 6))])
    here.settle()
    wait_until(lambda: database.rows(COHORT, WEEK) == [("2025-01-06", 1), (WEEK, 2)], 60, "the cohorts of the week")
    here.archive("2025-01")
    counts = json.loads(site.must("tallymill", "erase", "--user", 888, "--yes", "--json").out)["counts"]
    assert (counts["rows"], counts["weeks"], counts["archives"]) == ({"2025-02": 2}, {WEEK: 2}, {}), counts
    assert database.rows(COHORT, WEEK) == [("2025-01-06", 1), (WEEK, 1)] and database.rows("SELECT state FROM tallymill.months WHERE month = '2025-01-01'") == [("archived",)]
    here.archive("2025-02")
    killed = site.start("tallymill", "erase", "--user", 778, "--yes", failpoint="erase_returned:exit:3", name="killed")
    assert killed.wait(120) == 86, killed.log()
    site.must("tallymill", "audit")
    counts = json.loads(site.must("tallymill", "erase", "--user", 778, "--yes", "--json").out)["counts"]
    assert (counts["rows"], counts["weeks"], counts["archives"]) == ({"2025-01": 2}, {WEEK: 2}, {"2025-01": 2}), counts
    assert database.rows(COHORT, WEEK) == [("2025-01-06", 1)]
    assert set(database.rows("SELECT state FROM tallymill.months WHERE month IN ('2025-01-01', '2025-02-01')")) == {("archived",)}
    assert database.rows("SELECT to_char(month, 'MM'), generation FROM tallymill.archives WHERE state = 'dropped' ORDER BY 1") == [("01", 2), ("02", 1)], "February lost nothing"
    for month in ("2025-01", "2025-02"):
        site.must("tallymill", "restore", month)
    here.settle()
    here.holds()


MOMENTS = "SELECT user_id, first_at AT TIME ZONE 'UTC' FROM tallymill.first_seen{} WHERE user_id < 100 ORDER BY 1"
COHORTS = "SELECT week::text, cohort_week::text, active_users FROM analytics_weekly_cohorts WHERE week < '2025-06-01' ORDER BY 1, 2"


def seen(*rows, **how):
    return [event("login", instant(f"{day}T12:00:00"), user_id=user, session_id=session, **how) for day, user, session in rows]


def moments(here, internal=""):
    return {user: f"{at:%Y-%m-%d}" for user, at in here.site.database.rows(MOMENTS.format(internal))}


def first_seen_site(erasing, folder):
    """Users of three months that left: 1 to 4 were first seen in session s, of whom 1 went on in the same month, 2 in a later one that left, 3 in one that is there, and 4 nowhere."""
    (folder / "weekly").mkdir()
    shutil.copy(ROOT / "schemas/rollups/cohorts.sql", folder / "weekly")
    here = erasing(0, build="check", **{"rollups.dir": folder / "weekly"})
    here.site.send([*seen(("2025-01-08", 1, "s"), ("2025-01-22", 1, "a"), ("2025-02-12", 1, "a"), ("2025-01-08", 2, "s"), ("2025-02-12", 2, "b"), ("2025-03-01", 2, "b"), ("2025-03-12", 2, "b"),
                          ("2025-01-08", 3, "s"), ("2025-05-07", 3, "c"), ("2025-01-08", 4, "s"), ("2025-01-06", 5, "e"), ("2025-01-09", 5, "s"), ("2025-02-28", 6, "f"), ("2025-03-12", 6, "f"), ("2025-05-07", 6, "f")),
                    *seen(("2025-01-08", 2, "s"), ("2025-03-13", 2, "b"), ("2025-01-07", 7, "s"), is_internal=True)])
    here.settle()
    for month in ("2025-01", "2025-02", "2025-03"):
        here.archive(month)
    assert moments(here) == {1: "2025-01-08", 2: "2025-01-08", 3: "2025-01-08", 4: "2025-01-08", 5: "2025-01-06", 6: "2025-02-28"} and moments(here, "_internal") == {2: "2025-01-08", 7: "2025-01-07"}
    return here


def cohorts_are_those_of_the_rows(here):
    """As they are with months away, as they are when all are back, and as the raw query says then. What is there is computed at its cadence, so it is hurried."""
    site = here.site

    def compute():
        wait_until(lambda: site.database.value("SELECT count(*) = 0 FROM tallymill.rollup_periods WHERE is_stale AND first_day BETWEEN '2025-01-01' AND '2025-06-01'"), 60, "the cohorts to be computed")
        return site.database.rows(COHORTS)

    site.database.run("UPDATE tallymill.rollup_runs SET ran_at = NULL WHERE first_day >= '2025-05-01'")
    before = compute()
    for month in ("2025-01", "2025-02", "2025-03"):
        site.must("tallymill", "restore", month)
    site.database.run("UPDATE tallymill.rollup_runs SET version = NULL, ran_at = NULL")
    rows = site.database.rows("""
        WITH seen AS (SELECT user_id, date_trunc('week', created_at AT TIME ZONE 'UTC')::date AS week FROM analytics_events WHERE user_id IS NOT NULL AND NOT is_internal),
             first AS (SELECT user_id, min(week) AS week FROM seen GROUP BY 1)
        SELECT s.week::text, f.week::text, count(DISTINCT s.user_id) FROM seen s JOIN first f USING (user_id) WHERE s.week < '2025-06-01' GROUP BY s.week, f.week ORDER BY 1, 2""")
    assert compute() == rows
    assert before == rows
    here.holds()


@pytest.mark.parametrize("step", (None, "erase_told", "restore_committed", "erase_month_erased", "erase_left_again"))
def test_since_when_others_are_known_does_not_stay_that_of_an_erased_session(erasing, tmp_path, step):
    here = first_seen_site(erasing, tmp_path)
    erase = ("erase", "--session", "s", "--yes", "--json")
    if step:
        killed = here.site.start("tallymill", *erase, failpoint=f"{step}:exit", name="killed")
        assert killed.wait(120) == 86, killed.log()
    done = here.site.must("tallymill", *erase)
    counts = json.loads(done.out)["counts"]
    assert (counts["rows"], counts["archives"], counts["first_seen"]) == ({"2025-01": 7}, {"2025-01": 2}, 5), counts
    assert moments(here) == {1: "2025-01-22", 2: "2025-02-12", 5: "2025-01-06", 6: "2025-02-28"} and moments(here, "_internal") == {2: "2025-03-13"}
    cohorts_are_those_of_the_rows(here)


def test_since_when_others_are_known_is_told_of_a_month_that_came_back_too(erasing, tmp_path):
    here = first_seen_site(erasing, tmp_path)
    here.site.must("tallymill", "restore", "2025-01")
    here.settle()
    here.site.must("tallymill", "erase", "--session", "s", "--yes")
    assert moments(here) == {2: "2025-02-12", 5: "2025-01-06", 6: "2025-02-28", 1: "2025-02-12"}, "the rest is in Postgres"
    here.archive("2025-01")
    assert moments(here)[1] == "2025-01-22"
    cohorts_are_those_of_the_rows(here)


def older_copy(here, meanwhile):
    """The database as it was before `meanwhile`, which the archives have seen."""
    site, dump = here.site, here.folder.parent / "tallymill.dump"
    here.archive()
    client("pg_dump", site, "--format=custom", f"--file={dump}")
    answer = meanwhile()
    assert here.generations() == {"0002"}
    for program in (here.worker, here.aggregator):
        assert program.stop() == 0
    restore_dump(site, dump)
    site.must("tallymill", "migrate")
    for words in (("archive", "--verify"), ("restore", MONTH)):
        done = site.tallymill(*words)
        assert done.code == 1 and "has generation 2" in done.err and f"restore {MONTH} --newer" in done.err, done
    site.must("tallymill", "audit")
    return answer


@pytest.mark.plain_servers("pg_dump would need the login's files")
def test_an_archive_that_is_newer_than_a_restored_backup_is_taken_when_that_is_asked(erasing, tmp_path):
    here = erasing()
    site = here.site
    (tmp_path / "receipt.json").write_text(older_copy(here, lambda: here.erase("--yes", "--json").out))
    here.worker, here.aggregator = site.worker(), site.aggregator()
    wait_until(lambda: site.database.value("SELECT leader <> '' FROM tallymill.leader"), 30, "an aggregator to lead")
    again = ("erase", "--again", tmp_path / "receipt.json", "--yes")
    done = site.tallymill(*again)
    assert done.code == 1 and "--newer" in done.err and "NOT COMPLETE" in done.out, done
    assert "of generation 2" in site.must("tallymill", "restore", MONTH, "--newer").out
    here.settle()
    here.holds()
    site.must("tallymill", *again)
    here.archive()
    here.is_without_them()


@pytest.mark.plain_servers("pg_dump would need the login's files")
def test_a_newer_archive_with_rows_that_kafka_brings_again_is_not_taken(erasing):
    here = erasing()

    def late_event():
        here.site.must("tallymill", "restore", MONTH)
        here.publish(3, seed=5)
        here.archive()

    older_copy(here, late_event)
    before = here.site.database.rows("SELECT generation, state FROM tallymill.archives")
    done = here.site.tallymill("restore", MONTH, "--newer")
    assert done.code == 1 and "from a copy of the store" in done.err and "stays archived" in done.err, done
    assert here.site.database.rows("SELECT generation, state FROM tallymill.archives") == before == [(1, "dropped")]
