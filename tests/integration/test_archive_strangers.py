"""An archive beside what it did not expect: another database in the same store, a store that goes away at the last step, a table whose columns are others by now, and what somebody makes of
the table partitions."""

import json

import pytest

from .harness.publisher import event, instant
from .harness.waiting import wait_until
from .test_aggregator import at_day
from .test_archive import LEAF, MONTH, STATISTICS, make_archive  # noqa: F401  (the fixture `archive`)


def test_two_databases_with_one_target_keep_their_archives_apart(archive):
    one = archive(count=40)
    other = archive(count=50, **{"archive.target": one.folder})
    one.must()
    kept = {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
    done = other.run()
    assert done.code == 2 and "another database archives there" in done.err and f"analytics_events/{MONTH}/0001/" in done.err, done
    other.is_back()
    assert {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file()} == kept
    one.restore()
    one.is_back()


@pytest.mark.parametrize("is_leftover", [False, True])
def test_what_another_database_wrote_in_place_of_ours_is_not_deleted(archive, is_leftover):
    one = archive(count=40, build="check")
    other = archive(count=50, **{"archive.target": one.folder})
    if is_leftover:    # begun, and never ended
        run = one.site.start("tallymill", "archive", MONTH, failpoint="archive_part:exit")
        assert run.wait(60) == 86, run.log()
    else:              # ended, and then given up: its blocks are deleted by the next run
        run = one.stop_at("archive_manifest")
        one.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
        run.kill()
        for path in one.folder.rglob("*.*"):
            path.unlink()
    other.must()
    kept = {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
    one.must()
    assert {path: path.read_bytes() for path in one.folder.rglob("*") if path.is_file() and "/0001/" in str(path)} == kept
    other.restore()
    other.is_back()
    one.restore()
    one.is_back()


@pytest.mark.parametrize("step", ["archive_marked", "archive_detached"])
def test_a_store_that_goes_away_at_the_last_step_keeps_no_rows_from_anybody(archive, step):
    here = archive(count=40, build="check")
    run = here.stop_at(step)
    away = here.folder.rename(here.folder.with_name("unmounted"))
    run.thaw()
    assert run.wait(60) == 1 and "is part of analytics_events again" in run.log(), run.log()
    here.site.fold()
    here.is_back()
    away.rename(here.folder)
    assert "written before, proven again" in here.must().out
    here.is_away()


def test_a_run_that_goes_on_reads_the_whole_archive_before_the_drop(archive):
    here = archive(count=40, build="check")
    run = here.site.start("tallymill", "archive", MONTH, failpoint="archive_detached:exit")
    assert run.wait(60) == 86, run.log()
    part = here.folder / "analytics_events" / MONTH / "0001" / "part-00001.csv.zst"
    part.write_bytes(part.read_bytes()[:-1])
    done = here.run()
    assert done.code == 1 and "DAMAGED" in done.err and "is part of analytics_events again" in done.err, done
    here.site.fold()
    here.is_back()
    here.must()
    here.is_away()


def test_values_that_a_new_type_would_change_do_not_come_back(archive):
    here = archive(count=40)
    here.site.database.run("ALTER TABLE analytics_events ADD COLUMN price numeric(12,4) DEFAULT 1.2345")
    here.site.fold()
    here.must()
    here.site.database.run("ALTER TABLE analytics_events ALTER COLUMN price TYPE numeric(10,0)")
    done = here.site.tallymill("restore", MONTH)
    assert done.code == 2 and "another type" in done.err and "stays archived" in done.err, done
    here.is_away()
    here.site.database.run("ALTER TABLE analytics_events ALTER COLUMN price TYPE numeric")
    here.restore()    # wider: every value is the same
    here.site.fold()
    assert here.site.database.value(f"SELECT count(*) FROM {LEAF} WHERE price = 1.2345") == here.content[0]
    here.is_back()


def test_a_column_that_came_while_a_month_was_away_is_in_its_next_archive(archive):
    here = archive(count=40)
    here.must()
    here.site.database.run("ALTER TABLE analytics_events ADD COLUMN note text NOT NULL DEFAULT 'none'")
    here.restore()
    here.site.fold()
    here.is_back()
    assert "generation 2" in here.must().out
    here.restore()
    here.site.fold()
    assert here.site.database.value(f"SELECT count(*) FROM {LEAF} WHERE note = 'none'") == here.content[0]
    here.is_back()


def test_a_month_that_was_restored_stays_although_a_run_by_hand_came_to_nothing(archive):
    here = archive(count=40, build="check", **{"archive.after": "31 days"})
    window = ("--set", "window.oldest=60 days")

    def is_due():
        return next(month["is_due"] for month in json.loads(here.site.must("tallymill", "months", "--json", *window).out)["months"] if month["month"] == MONTH)

    assert is_due()
    here.must()
    here.restore()
    assert not is_due(), "it was asked for"
    here.site.database.run("UPDATE tallymill.archives SET server_hash = server_hash + 1")    # it is to be written anew
    run = here.site.start("tallymill", "archive", MONTH, failpoint="archive_part:exit")
    assert run.wait(60) == 86, run.log()
    assert not is_due()
    here.must("--due", *window)
    here.is_back()


STANDING = {    # how it is made, its name in what is said, how it goes
    "a view": (f"CREATE VIEW public.of_it AS SELECT id FROM {LEAF}", "view public.of_it", "DROP VIEW public.of_it"),
    "a materialized view": (f"CREATE MATERIALIZED VIEW public.of_it AS SELECT id FROM {LEAF}", "materialized view public.of_it", "DROP MATERIALIZED VIEW public.of_it"),
    "a function": (f"CREATE FUNCTION public.count_it() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM {LEAF}; END", "function public.count_it()", "DROP FUNCTION public.count_it"),
    "a function of its rows": (f"CREATE FUNCTION public.name_of({LEAF}) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'", "function public.name_of(", "DROP FUNCTION public.name_of"),
    "a key": (f"CREATE TABLE public.notes (id uuid, created_at timestamptz, FOREIGN KEY (id, created_at) REFERENCES {LEAF})", "on table public.notes", "DROP TABLE public.notes"),
    "a column": (f"CREATE TABLE public.kept (row {LEAF})", "column row of table public.kept", "DROP TABLE public.kept"),
}


def test_what_stands_on_a_month_keeps_it_and_is_named_and_the_others_leave(archive):
    here = archive(count=40)
    site, other = here.site, at_day(140)
    site.send([event("login", instant(f"{other.date()}T10:00:00"), user_id=1)])
    site.drain()
    site.database.run(f"CREATE VIEW public.of_all AS SELECT id FROM analytics_events; CREATE INDEX of_the_month ON {LEAF} (lower(event_name)); CREATE STATISTICS public.of_it ON event_name, user_id FROM {LEAF}")
    site.fold()
    here.statistics = site.database.rows(STATISTICS)
    for kind, (make, name, drop) in STANDING.items():
        site.database.run(make)
        done = here.run()
        assert done.code == 2 and name in done.err and f"stands on table public.{LEAF}" in done.err, (kind, done)
        assert here.state() == "open" and site.database.value("SELECT count(*) FROM tallymill.archives") == 0
        if kind != "a column":
            site.database.run(drop)
    here.is_back()
    done = here.run(MONTH, f"{other:%Y-%m}")
    assert done.code == 2 and f"{other:%Y-%m} archived" in done.out, done
    site.database.run(STANDING["a column"][2])
    here.must()
    here.is_away()


BETWEEN = {    # what fails when the table is dropped, and how it goes
    "a view": (STANDING["a view"][0], "view public.of_it depends on table", STANDING["a view"][2]),
    "a trigger": ("CREATE OR REPLACE FUNCTION public.keep_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
                  " CREATE TRIGGER keep_out BEFORE UPDATE ON tallymill.months FOR EACH ROW WHEN (NEW.state = 'archived') EXECUTE FUNCTION public.keep_out()",
                  "keep_out", "DROP TRIGGER keep_out ON tallymill.months"),
}


@pytest.mark.parametrize("kind", BETWEEN)
def test_a_month_whose_table_cannot_be_dropped_is_part_of_the_events_again(archive, kind):
    here = archive(count=40, build="check")
    make, said, drop = BETWEEN[kind]
    for step in ("archive_marked", "archive_detached"):
        run = here.stop_at(step)
        here.site.database.run(make)
        run.thaw()
        assert run.wait(60) == 1 and said in run.log() and "is part of analytics_events again" in run.log(), (step, run.log())
        here.site.database.run(drop)
        here.site.fold()
        here.is_back()
    assert "written before, proven again" in here.must().out
    here.is_away()


def test_beside_a_default_partition_no_month_begins_to_leave(archive):
    here = archive(count=40, build="check")
    database = here.site.database
    database.run("CREATE TABLE public.odd PARTITION OF analytics_events DEFAULT")
    done = here.run()
    assert done.code == 2 and "table public.odd" in done.err and "tallymill audit" in done.err, done
    assert here.state() == "open" and database.value("SELECT count(*) FROM tallymill.archives") == 0
    database.run("DROP TABLE public.odd")
    run = here.stop_at("archive_marked")
    database.run("CREATE TABLE public.odd PARTITION OF analytics_events DEFAULT")
    run.thaw()
    assert run.wait(60) == 1 and "is part of analytics_events again" in run.log(), run.log()
    database.run("DROP TABLE public.odd")
    here.is_back()
    here.must()
    here.is_away()


def lock_of_leaf(session):
    cursor = session.cursor()
    cursor.execute(f"BEGIN; LOCK TABLE {LEAF} IN ACCESS SHARE MODE")
    return cursor


def test_who_reads_a_detached_month_is_waited_for_until_the_deadline_and_named(archive):
    here = archive(count=40, build="check", **{"archive.detach_deadline": "3 s"})
    run = here.stop_at("archive_detached")
    with here.site.database.session() as session:
        lock_of_leaf(session)
        run.thaw()
        assert run.wait(30) == 1 and "pid " in run.log() and f"archive --cancel {MONTH}" in run.log(), run.log()
        assert here.state() == "detaching"
        here.holds()
    here.must()
    here.is_away()


def test_while_a_detached_month_waits_for_its_reader_nobody_waits_for_it(archive):
    here = archive(count=40, build="check")
    run = here.stop_at("archive_detached")
    with here.site.database.session() as session:
        lock_of_leaf(session)
        run.thaw()
        wait_until(lambda: here.site.database.value("SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted", LEAF) > 0, 30, "the run to ask for the lock")
        here.site.must("tallymill", "audit", "--deep")
        assert run.is_running(), run.log()
    assert run.wait(60) == 0, run.log()
    here.is_away()


def test_a_directory_that_has_lost_its_archives_is_not_written_to(archive):
    """A disk that is not mounted: its mount point is there, and empty."""
    here = archive(count=40)
    here.must()
    here.restore()
    archives, away = here.folder / "analytics_events", here.folder.with_name("disk")
    archives.rename(away)
    done = here.run()
    assert done.code == 2 and "is its disk mounted?" in done.err and not archives.exists(), done
    assert here.site.database.value("SELECT count(*) FROM tallymill.archives") == 1
    here.is_back()
    away.rename(archives)
    here.must()
    here.is_away()
