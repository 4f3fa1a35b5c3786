"""`tallymill archive` and `restore`: what left comes back as it was, whatever ends a run, whatever comes in between, and damage is noticed while the month is still there.

TALLYMILL_ARCHIVE_ROUNDS=50: so many rounds (daily 2), in each of which a run, or the server process behind it, is killed at a random moment, beside live events; and the late event comes
at every step, not at four.
"""

import csv
import datetime
import gzip
import io
import json
import os
import pathlib
import random
import re
import time

import pytest

from .harness.publisher import event, instant
from .harness.waiting import wait_until
from .test_aggregator import at_day
from .test_leaving_months import reader_of_all

DAY = at_day(100)
MONTH, FIRST = f"{DAY:%Y-%m}", f"{DAY:%Y-%m}-01"
LEAF = f"analytics_events_{DAY:%Y_%m}"
ROUNDS = int(os.environ.get("TALLYMILL_ARCHIVE_ROUNDS", "2"))
CONTENT = """
    SELECT count(*), md5(coalesce(string_agg(e::text, E'\\n' ORDER BY id, created_at), ''))
    FROM (SELECT id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at, batch_id FROM analytics_events
          WHERE created_at >= %s::date AND created_at < %s::date + interval '1 month') e"""
COHORTS = ("SELECT 'external', week, cohort_week, active_users FROM analytics_weekly_cohorts"
           " UNION ALL SELECT 'internal', week, cohort_week, active_users FROM analytics_internal_weekly_cohorts ORDER BY 1, 2, 3")
STATE = "SELECT state FROM tallymill.months WHERE month = %s"
STATISTICS = "SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats ORDER BY 1, 2"
# Where a run may be ended, in the order of its steps; and what must be so then: whether the month's rows can be read.
STEPS = {"archive_settled": True, "archive_part": True, "archive_written": True, "archive_manifest": True, "archive_loaded": True, "archive_proven": True, "archive_marked": True,
         "archive_detached": False, "archive_dropped": False}
ODD_TEXTS = ["", "a\nb", "\n\\.\n", '"', '",\r\n"', "'; DROP", "täglich \\N \t", "\\", "=1+1", "NULL", " ", "\u2028"]


def of_month(count, seed=1, **columns):
    source = random.Random(seed)
    start = instant(f"{FIRST}T00:00:00")
    for number in range(count):
        text = ODD_TEXTS[number % len(ODD_TEXTS)]
        yield event(source.choice(("login", "doc_export", 'we"ird\nname')), start + source.randrange(28 * 86_400_000_000), session_id=text + str(number % 40) if number % 3 else None,
                    user_id=number % 50 if number % 4 else None, event_data={"text": text, "n": number, "float": source.random(), "nested": [text, None, 2**53 + 1]},
                    is_internal=number % 9 == 0, **columns)


class Archive:
    """A site with a month to archive, and words for what is done with it."""

    def __init__(self, site, count=300):
        self.site = site
        self.folder = pathlib.Path(str(site.settings.parent / "archive"))
        site.send([*of_month(count), event(), event()])
        site.drain()
        site.database.run(f"INSERT INTO analytics_events (event_name, session_id, created_at, event_data) SELECT 'foreign', '', created_at, '{{\"n\": 1.0}}' FROM {LEAF} LIMIT 30;"
                          f" INSERT INTO tallymill.days (day, dirty_since, dirty_reason) SELECT DISTINCT created_at::date, now(), 'asked' FROM {LEAF} WHERE batch_id IS NULL")
        site.fold()
        self.content, self.statistics = self.rows(), site.database.rows(STATISTICS)
        assert self.content[0] == count + 30

    def rows(self):
        return self.site.database.rows(CONTENT, FIRST, FIRST)[0]

    def state(self):
        return self.site.database.value(STATE, FIRST)

    def run(self, *words, **how):
        return self.site.tallymill("archive", *(words or (MONTH,)), **how)

    def must(self, *words, **how):
        done = self.run(*words, **how)
        assert done.code == 0, done
        return done

    def restore(self, *words):
        return self.site.must("tallymill", "restore", MONTH, *words)

    def holds(self):
        """Books and statistics are right, wherever the month is."""
        self.site.must("tallymill", "audit", "--deep")
        self.site.must("tallymill", "verify")
        assert self.site.database.rows(STATISTICS) == self.statistics

    def is_back(self):
        assert self.rows() == self.content and self.state() in ("open", "restored")
        self.holds()

    def is_away(self):
        assert self.rows()[0] == 0 and self.state() == "archived" and self.site.database.value("SELECT to_regclass(%s)", LEAF) is None
        self.holds()

    def files(self):
        return sorted(str(path.relative_to(self.folder / "analytics_events" / MONTH)) for path in self.folder.rglob("*") if path.is_file())

    def stop_at(self, step):
        """A run that has stopped itself at a step."""
        run = self.site.start("tallymill", "archive", MONTH, failpoint=f"{step}:stop")
        wait_until(run.is_frozen, 60, lambda: f"the run to stop at {step}; it said: {run.log()}")
        return run


@pytest.fixture(name="archive")
def make_archive(make_site, tmp_path):
    """A function that makes an Archive: archive(build=..., count=..., **settings)."""
    def make(count=300, **how):
        folder = tmp_path / f"site-{make.sites}"
        make.sites += 1
        settings = {"archive.target": folder / "archive", "archive.part_size": "64 KiB", **how}
        site = make_site(**settings)
        (site.settings.parent / "archive").mkdir(exist_ok=True)
        return Archive(site, count)

    make.sites = 1
    return make


def test_a_month_leaves_and_comes_back_as_it_was(archive):
    here = archive(count=3000)
    done = here.must()
    assert f"{MONTH} archived: 3,030 rows" in done.out, done
    here.is_away()
    assert len(here.files()) > 2 and here.files()[0] == "0001/manifest.json", "more than one part"
    here.site.send([*of_month(5, seed=2), event()])
    here.site.drain()
    assert here.site.reasons() == {"archived_month": 5}
    listed = next(month for month in json.loads(here.site.must("tallymill", "months", "--json").out)["months"] if month["month"] == MONTH)
    assert (listed["state"], listed["archive_rows"], listed["dead_letters_waiting"], listed["is_due"]) == ("archived", 3030, 5, False)
    assert "5 dead letters wait" in here.must().out, "it is archived already"
    assert "is whole" in here.must("--verify").out
    assert "5 dead letters wait for it" in here.restore().out
    here.site.fold()
    assert here.rows() == here.content and here.state() == "restored"
    assert "5 dead letters were sent again" in here.restore("--replay").out
    here.site.drain()
    here.site.fold()
    here.content, here.statistics = here.rows(), here.site.database.rows(STATISTICS)
    assert here.content[0] == 3035
    here.is_back()
    here.must()    # it is another month now: a new generation, and the old one goes
    here.is_away()
    assert {name.split("/")[0] for name in here.files()} == {"0002"}
    here.restore()
    here.is_back()
    assert "written before, proven again" in here.must().out
    here.is_away()
    here.restore()
    here.is_back()
    here.site.assert_holds()


def test_an_archive_is_read_by_others(archive):
    """The page says one line of DuckDB; gzip and Python's csv are everywhere."""
    here = archive(**{"archive.compression": "gzip"})
    before = here.site.database.rows(f"SELECT id::text, coalesce(session_id, ''), event_data::text FROM {LEAF} ORDER BY 1")
    here.must()
    read = []
    for part in sorted(here.folder.rglob("part-*.csv.gz")):
        read += [(row["id"], row["session_id"], row["event_data"]) for row in csv.DictReader(io.StringIO(gzip.decompress(part.read_bytes()).decode(), newline=""))]
    assert sorted(read) == before
    here.restore()
    here.is_back()


def test_a_run_that_is_killed_at_any_step_is_ended_by_the_next(archive):
    here = archive(build="check")
    for step, is_readable in STEPS.items():
        here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")    # so that it is written again
        run = here.site.start("tallymill", "archive", MONTH, failpoint=f"{step}:exit", name=step)
        assert run.wait(60) == 86, f"{step}: {run.log()}"
        assert (here.rows() == here.content) == is_readable, step
        here.holds()
        here.must()
        here.is_away()
        for failpoint in ("restore_loaded", "restore_indexed"):
            run = here.site.start("tallymill", "restore", MONTH, failpoint=f"{failpoint}:exit", name=f"{step}-{failpoint}")
            assert run.wait(60) == 86, run.log()
            assert here.state() == "archived"
        here.restore()
        here.is_back()
    assert {name.split("/")[0] for name in here.files()} != set()
    assert here.site.database.value("SELECT count(*) FROM tallymill.archives WHERE state NOT IN ('superseded', 'dropped')") == 0


def test_a_late_event_at_any_step_is_in_the_archive_or_waits_for_the_month(archive):
    here = archive(build="check", count=40)
    steps = STEPS if ROUNDS > 2 else ("archive_settled", "archive_proven", "archive_marked", "archive_detached")
    for number, step in enumerate(steps, 1):
        here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
        run = here.stop_at(step)
        here.site.send([next(of_month(1, seed=number))])
        here.site.drain()
        run.thaw()
        code = run.wait(60)
        here.site.fold()
        here.statistics = here.site.database.rows(STATISTICS)
        here.holds()
        if code != 0:    # it was seen in time: the month waits, and the next run takes all of it
            assert code == 1 and "waits for the next run" in run.log() and here.rows()[0] == 70 + number, (step, run.log())
            here.must()
        assert here.state() == "archived"
        here.restore("--replay")
        here.site.drain()
        here.site.fold()
        assert here.rows()[0] == 70 + number, step
        here.statistics = here.site.database.rows(STATISTICS)
    here.holds()
    here.site.assert_holds()


DAMAGES = {
    "a flipped byte": lambda part, manifest: part.write_bytes(bytes([part.read_bytes()[0] ^ 1]) + part.read_bytes()[1:]),
    "a byte less": lambda part, manifest: part.write_bytes(part.read_bytes()[:-1]),
    "a missing part": lambda part, manifest: part.unlink(),
    "a missing manifest": lambda part, manifest: manifest.unlink(),
    "another's manifest": lambda part, manifest: manifest.write_text(manifest.read_text().replace(MONTH, "2001-01")),
    "a manifest of other rows": lambda part, manifest: manifest.write_text(re.sub('"row_hash": "(.)', lambda found: f'"row_hash": "{int(found[1] == "0")}', manifest.read_text())),
    "a manifest of another part": lambda part, manifest: manifest.write_text(re.sub('"sha256": "(.)', lambda found: f'"sha256": "{int(found[1] == "0")}', manifest.read_text(), count=1)),
    "a manifest of other columns": lambda part, manifest: manifest.write_text(manifest.read_text().replace('"event_name"', '"x"').replace('"event_category"', '"event_name"').replace('"x"', '"event_category"')),
    "no manifest at all": lambda part, manifest: manifest.write_text("[]"),
}


def test_damage_is_noticed_before_the_month_is_dropped_and_later_by_name(archive):
    here = archive(build="check", count=40)

    def newest(name):
        return max(here.folder.rglob("0*")) / name

    for damage, strike in DAMAGES.items():
        here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
        run = here.stop_at("archive_marked" if "manifest" in damage else "archive_manifest")
        strike(newest("part-00001.csv.zst"), newest("manifest.json"))
        run.thaw()
        assert run.wait(60) == 1 and "DAMAGED" in run.log(), (damage, run.log())
        if here.state() == "detaching":
            assert "stays" in here.must("--cancel", MONTH).out
            here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
        assert here.rows() == here.content and here.state() in ("open", "restored")
        here.must()
        kept = [(newest(name), newest(name).read_bytes()) for name in ("part-00001.csv.zst", "manifest.json")]
        strike(*(path for path, _ in kept))
        for words in (("archive", "--verify"), ("archive", "--verify", MONTH), ("restore", MONTH)):
            done = here.site.tallymill(*words)
            assert done.code == 1 and "DAMAGED" in done.err and MONTH in done.err, (damage, done)
        assert here.state() == "archived"
        for path, content in kept:
            path.write_bytes(content)
        here.restore()
    here.is_back()


ONE = f"(SELECT id FROM {LEAF} WHERE batch_id IS NOT NULL ORDER BY id LIMIT 1)"
COPIED = "event_name, event_category, session_id, user_id, event_data, is_internal, created_at, batch_id"
CHANGED = f"UPDATE {LEAF} SET event_data = '{{}}' WHERE id = {ONE}"
# What happens to a month between its proof and its end, and whether it is another month then. The number of its rows is the same each time.
MEANWHILE = {
    "nothing": ([], False),
    "its rows are frozen": ([f"VACUUM (FREEZE) {LEAF}"], False),
    "it is written anew": ([f"VACUUM (FULL) {LEAF}"], False),
    "a row is changed": ([CHANGED], True),
    "a row is changed in a subtransaction": ([f"DO $$ BEGIN {CHANGED}; EXCEPTION WHEN division_by_zero THEN NULL; END $$"], True),
    "a row is changed and frozen": ([CHANGED, f"VACUUM (FREEZE) {LEAF}"], True),
    "a row is there for another": ([f"INSERT INTO {LEAF} ({COPIED}) SELECT {COPIED} FROM {LEAF} WHERE id = {ONE}", f"DELETE FROM {LEAF} WHERE id = {ONE}"], True),
    "there is another column": (["ALTER TABLE analytics_events ADD COLUMN note text DEFAULT 'new'"], True),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_a_month_that_is_not_what_was_written_stays(archive, what):
    here = archive(build="check", count=40)
    statements, is_other = MEANWHILE[what]
    run = here.stop_at("archive_proven")
    for statement in statements:
        here.site.database.run(statement)
    content = here.rows()
    run.thaw()
    code = run.wait(60)
    if not is_other:
        assert code == 0, run.log()
        here.is_away()
        return
    assert code == 1 and "waits for the next run" in run.log(), run.log()
    assert here.rows() == content and here.state() in ("open", "restored")
    here.site.fold()
    assert here.rows() == content and here.must().code == 0    # the archive is of what it is now
    here.restore()
    assert here.rows() == content


def test_a_change_that_was_under_way_before_the_snapshot_is_seen(archive):
    """Its transaction is older than some that the snapshot shows."""
    here = archive(build="check", count=40)
    with here.site.database.session() as writer:
        writer.autocommit = False
        writer.cursor().execute(f"UPDATE {LEAF} SET event_data = '{{}}' WHERE id = {ONE}")
        here.site.database.run("INSERT INTO tallymill.archives (month, generation, target, state) VALUES ('2000-01-01', 1, 'none', 'superseded')")
        run = here.stop_at("archive_proven")
        writer.commit()
    content = here.rows()
    run.thaw()
    assert run.wait(60) == 1 and "waits for the next run" in run.log(), run.log()
    assert here.rows() == content != here.content


def test_a_table_that_takes_the_place_of_a_month_is_not_taken_for_it(archive):
    """Its rows are as many, and older than the snapshot."""
    here = archive(build="check", count=40)
    run = here.site.database.run
    run(f"CREATE TABLE corrected (LIKE {LEAF} INCLUDING ALL); INSERT INTO corrected SELECT * FROM {LEAF}; UPDATE corrected SET event_data = '{{}}';"
        " ALTER TABLE corrected OWNER TO tallymill_admin")
    run("INSERT INTO tallymill.archives (month, generation, target, state) VALUES ('2000-01-01', 1, 'none', 'superseded')")    # something newer
    archiving = here.stop_at("archive_marked")
    run(f"ALTER TABLE analytics_events DETACH PARTITION {LEAF}; ALTER TABLE {LEAF} RENAME TO replaced; ALTER TABLE corrected RENAME TO {LEAF};"
        f" ALTER TABLE analytics_events ATTACH PARTITION {LEAF} FOR VALUES FROM ('{FIRST}') TO ('{DAY.replace(day=28) + datetime.timedelta(days=4):%Y-%m}-01')")
    content = here.rows()
    archiving.thaw()
    assert archiving.wait(60) == 1 and "waits for the next run" in archiving.log(), archiving.log()
    assert here.rows() == content != here.content


def test_a_column_that_was_made_anew_on_a_detached_month_is_seen(archive):
    here = archive(build="check", count=40)
    run = here.stop_at("archive_detached")
    here.site.database.run(f"ALTER TABLE {LEAF} DROP COLUMN event_data; ALTER TABLE {LEAF} ADD COLUMN event_data jsonb NOT NULL DEFAULT '{{}}'")
    run.thaw()
    assert run.wait(60) == 1, run.log()
    assert here.site.database.value(f"SELECT count(*) FROM {LEAF}") == here.content[0]


def test_a_login_that_may_make_no_temporary_table_archives_too(archive):
    here = archive(count=40)
    name = here.site.database.value("SELECT current_database()")
    here.site.database.run(f'REVOKE TEMP ON DATABASE "{name}" FROM PUBLIC')
    assert not here.site.database.value("SELECT has_database_privilege('tallymill_admin', current_database(), 'TEMP')")
    here.must()
    here.is_away()


@pytest.mark.parametrize("is_resumed", [False, True])
def test_the_values_of_a_month_are_looked_at_where_its_transactions_do_not_say_it(archive, is_resumed):
    """What stands in the books is the hash of another table: only who takes the hash notices, and that is a run that another one began."""
    here = archive(build="check", count=40)
    run = here.stop_at("archive_detached")
    here.site.database.run("UPDATE tallymill.archives SET server_hash = server_hash + 1")
    if not is_resumed:
        run.thaw()
        assert run.wait(60) == 0, run.log()
        here.is_away()
        return
    run.kill()
    done = here.run()
    assert done.code == 1 and "waits for the next run" in done.err, done
    here.is_back()


def test_a_month_waits_until_its_statistics_are_settled_and_right(archive):
    here = archive(count=40)
    database = here.site.database
    refusals = [
        ("UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked' WHERE day = (SELECT min(day) FROM tallymill.days)", "waits for a rebuild"),
        ("UPDATE analytics_daily_stats SET event_count = event_count + 1 WHERE date = (SELECT min(date) FROM analytics_daily_stats)", "differ from its rows"),
        (f"INSERT INTO analytics_events (event_name, created_at) VALUES ('foreign', '{FIRST}')", "other programs have rows"),
        (f"UPDATE {LEAF} SET event_data = '{{}}' WHERE batch_id IS NULL", "other programs have rows"),
        ("UPDATE tallymill.days SET closed_at = NULL WHERE day = (SELECT min(day) FROM tallymill.days)", "is not closed yet"),
    ]
    for statement, reason in refusals:
        database.run(statement)
        done = here.run()
        assert done.code == 1 and reason in done.err and here.state() == "open", (statement, done)
        here.site.fold()
    here.site.send(of_month(3, seed=4))
    here.site.drain()
    done = here.run()
    assert done.code == 1 and "not in the statistics yet" in done.err, done
    here.site.fold()
    here.must()
    assert here.state() == "archived"
    current = here.run(f"{at_day(0):%Y-%m}")
    assert current.code == 1 and ("is not over yet" in current.err or "is not closed yet" in current.err), current


def test_a_month_that_leaves_unsettled_is_seen(archive):
    """Without that look: what was committed, and was not in the statistics yet, never is."""
    here = archive(build="check", count=40)
    here.site.send(of_month(5, seed=3))
    here.site.drain()
    assert here.run().code == 1
    wrong = here.site.start("tallymill", "archive", MONTH, bug="month_unsettled")
    assert wrong.wait(60) == 0, wrong.log()
    here.site.fold()
    here.restore()
    here.site.fold()
    assert {"statistic wrong", "statistic missing"} & set(here.site.verdict().kinds())


def test_a_reader_holds_a_month_up_until_the_deadline_and_is_named(archive):
    here = archive(count=40, **{"archive.detach_deadline": "3 s"})
    with reader_of_all(here.site):
        done = here.run()
        assert done.code == 1 and "pid " in done.err and f"archive --cancel {MONTH}" in done.err, done
        assert here.state() == "detaching"
        here.holds()
        worker = here.site.worker()    # nobody stands still meanwhile
        here.site.send([next(of_month(1, seed=5)), event()])
        here.site.wait_until_drained()
        assert worker.stop() == 0
    assert here.site.reasons() == {"archived_month": 1}
    assert "stays" in here.must("--cancel", MONTH).out
    assert "was not on its way out" in here.must("--cancel", MONTH).out
    here.site.fold()
    here.statistics = here.site.database.rows(STATISTICS)
    here.is_back()
    with reader_of_all(here.site):
        assert here.run().code == 1
    here.must()
    here.is_away()


def test_who_keeps_no_archive_drops_months_with_their_books(archive):
    here = archive(count=40, **{"archive.target": "none"})
    assert here.run().code == 2 and here.run("--due", "--drop").code == 2
    assert "dropped: 70 rows" in here.must(MONTH, "--drop", "--yes").out
    here.is_away()
    refused = here.site.tallymill("restore", MONTH)
    assert refused.code == 2 and "nothing of it was kept" in refused.err, refused


def test_due_is_what_is_cold_and_lies_before_the_window(archive):
    here = archive(count=40, **{"archive.after": "1 months", "window.oldest": f"{at_day(150).date()}"})
    assert "no month is due" in here.must("--due").out, "an event for it would still be accepted"
    text = here.site.settings.read_text()
    here.site.settings.write_text(text.replace(f"oldest = {at_day(150).date()}", f"oldest = {(DAY + datetime.timedelta(days=40)).date().replace(day=1)}"))
    assert f"\n{MONTH}  " in "\n" + here.site.must("tallymill", "months").out and "1 due" in here.site.must("tallymill", "months").out
    assert "archived: 70 rows" in here.must("--due").out
    here.is_away()
    here.restore()
    assert "no month is due" in here.must("--due").out, "it was restored just now"
    here.is_back()


def test_the_lock_of_a_run_that_has_just_ended_is_waited_for(archive):
    here = archive(count=40)
    with here.site.database.session() as holder, holder.cursor() as other:
        other.execute("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('tallymill.archive', 0))")
        run = here.site.start("tallymill", "archive", MONTH)
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tallymill archive' AND query LIKE '%%pg_try_advisory_xact_lock%%' AND state LIKE 'idle in%%'"
        wait_until(lambda: not run.is_running() or here.site.database.value(asked) > 0, 60, "the run to ask for the lock")
        other.execute("COMMIT")
    assert run.wait(60) == 0, run.log()


def test_one_run_at_a_time_and_what_is_asked_for_wrongly(archive):
    here = archive(count=40, build="check")
    run = here.stop_at("archive_settled")
    for words in (("archive", MONTH), ("restore", MONTH)):
        done = here.site.tallymill(*words)
        assert done.code == 1 and "one at a time" in done.err, done
    run.thaw()
    assert run.wait(60) == 0, run.log()
    for words in ((), ("2025-13",), ("2025-1",), ("--due", MONTH), ("2001-01",), (MONTH, "--drop", "--yes")):
        done = here.site.tallymill("archive", *words)
        assert done.code == 2 and done.err.strip(), (words, done)
    assert here.site.tallymill("restore").code == 2 and here.site.tallymill("restore", "2001-01").code == 2
    (here.folder / "analytics_events").rename(here.folder.parent / "elsewhere")
    here.folder.rmdir()
    done = here.run()
    assert done.code == 2 and "is its disk mounted?" in done.err, done


def test_cohorts_are_the_same_bit_for_bit_when_months_have_left(archive):
    here = archive(count=200, **{"rollups.dir": ""})
    site = here.site
    later = [at_day(days) for days in (65, 40, 12, 3)]
    site.send([event("login", instant(f"{day.date()}T10:00:00") + user, user_id=user, is_internal=user % 5 == 0) for day in later for user in range(20, 70, 3)])
    site.drain()
    site.fold()
    here.statistics = site.database.rows(STATISTICS)
    before = site.database.rows(COHORTS)
    assert len({kind for kind, *_ in before}) == 2
    here.must()
    here.is_away()
    assert site.database.rows(COHORTS) == before
    site.database.run("UPDATE tallymill.rollup_runs SET version = NULL WHERE rollup = 'cohorts'")
    site.fold()
    assert site.database.rows(COHORTS) == before
    here.restore()
    here.is_back()
    site.fold()
    assert site.database.rows(COHORTS) == before


def test_a_month_does_not_wait_for_the_cadence_of_its_rollups(archive):
    """A day that changed behind its closing would keep the month for as long as its slowest rollup may rest: hours."""
    here = archive(count=40, **{"rollups.dir": "", "aggregator.interval": "100 ms"})
    aggregator = here.site.aggregator()
    wait_until(lambda: here.site.database.value("SELECT NOT EXISTS (SELECT FROM tallymill.days WHERE closed_at IS NULL AND day < current_date - 7)"
                                                " AND NOT EXISTS (SELECT FROM tallymill.rollup_periods WHERE is_stale AND last_day < current_date - 7)"), 60, "the month to be settled")
    here.site.database.run("UPDATE tallymill.changes SET version = version + 1 WHERE day = (SELECT min(day) FROM tallymill.changes)")
    wait_until(lambda: here.run().code == 0, 60, lambda: f"the rollups of the month to be computed: {here.run()}")
    assert aggregator.stop() == 0
    here.is_away()


def killed_at_random(here):
    """So many rounds, each ended at a random moment: the client's end, or its server process's."""
    seed = int(os.environ.get("TALLYMILL_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    source = random.Random(seed)
    site = here.site
    worker, aggregator = site.worker(), site.aggregator()
    for number in range(ROUNDS):
        site.send([event() for _ in range(20)] + list(of_month(source.randrange(3), seed=seed + number)))
        run = site.start("tallymill", "archive", MONTH, name=f"round-{number}")
        moment = time.monotonic() + source.random() * 0.6
        wait_until(lambda run=run, moment=moment: not run.is_running() or time.monotonic() > moment, 60, "a random moment")
        if source.random() < 0.5:
            run.kill()
        else:
            site.database.run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tallymill archive' AND datname = current_database()")
            run.wait(120)
        site.must("tallymill", "audit")
        site.must("tallymill", "verify")
        site.wait_until_drained()
        site.wait_until_folded()
        wait_until(lambda: here.run().code == 0, 120, "the month to be archived")
        site.must("tallymill", "audit")
        here.restore("--replay")
        site.wait_until_drained()
        site.wait_until_folded()
        site.must("tallymill", "audit", "--deep")
        site.must("tallymill", "verify")
    assert worker.stop() == 0 and aggregator.stop() == 0
    site.assert_holds()


def test_killed_at_random_beside_live_events(archive):
    killed_at_random(archive(count=2000, **{"aggregator.interval": "100 ms"}))


def test_check_says_of_the_months_what_the_run_would(archive):
    here = archive(count=40)
    for words in (("archive", "2019-07"), ("archive", "--verify", "2019-07"), ("archive", "--cancel", "2019-07"), ("restore", "2019-07")):
        asked, done = here.site.tallymill(*words, "--check"), here.site.tallymill(*words)
        assert asked.code == done.code == 2 and "2019-07: there is no such month" in asked.err and asked.out == "", (words, asked, done)
    both = here.run("--check", "2019-07", "no month", MONTH)
    assert both.code == 2 and "2019-07" in both.err and "no month" in both.err, both
    assert "in order" in here.must("--check", MONTH).out and here.rows() == here.content


def test_what_the_aggregator_settles_is_said_to_pass(archive):
    here = archive(count=40)
    here.site.database.run(f"""UPDATE tallymill.days SET dirty_since = now(), dirty_reason = 'asked'
                               WHERE day = (SELECT min(day) FROM tallymill.days WHERE day >= '{FIRST}' AND day < '{FIRST}'::date + interval '1 month')""")
    waits = here.run()
    assert waits.code == 1 and "waits for a rebuild" in waits.err and "none leads: start tallymill-aggregator" in waits.err, waits
    here.site.database.run("UPDATE tallymill.leader SET leader = 'somebody', seen_at = now()")
    waits = here.run()
    assert waits.code == 1 and "settles that by itself, mostly within a minute" in waits.err, waits
    here.site.database.run("UPDATE tallymill.leader SET leader = ''")
    here.site.fold()
    here.must()


def test_months_marks_an_estimate_as_one(archive):
    here = archive(count=40)

    def rows():
        line = next(line for line in here.site.must("tallymill", "months").out.splitlines() if line.startswith(MONTH))
        return line.split()[3], next(month for month in json.loads(here.site.must("tallymill", "months", "--json").out)["months"] if month["month"] == MONTH)

    here.site.database.run(f"ANALYZE {LEAF}")
    shown, month = rows()
    assert (shown, month["rows"], month["is_estimate"]) == ("~70", 70, True)
    here.site.database.run(f"SELECT pg_stat_reset_single_table_counters('{LEAF}'::regclass); UPDATE pg_class SET reltuples = -1 WHERE oid = '{LEAF}'::regclass")
    shown, month = rows()
    assert (shown, month["rows"], month["is_estimate"]) == ("?", None, True)
    here.must()
    shown, month = rows()
    assert (shown, month["rows"], month["is_estimate"]) == ("70", 70, False)
