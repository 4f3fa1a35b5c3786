"""Archives that were moved, with archive.target after them: from a place that is gone, and from one that can be opened and has nothing any more."""

import json

import pytest

from .harness.waiting import wait_until
from .test_archive import MONTH, make_archive  # noqa: F401  (the fixture `archive`)
from .test_erase_archives import THEIRS, make_erasing, older_copy  # noqa: F401  (the fixture `erasing`)

LEFT = "SELECT parts FROM tallymill.archives WHERE generation = 1"


def point_at(site, old, new):
    text = site.settings.read_text()
    assert str(old) in text
    site.settings.write_text(text.replace(str(old), str(new)))


def move(here, is_gone):
    """The archives are at another place from now on, and so is archive.target."""
    old = here.folder
    here.folder = old.rename(old.with_name("moved"))
    point_at(here.site, old, here.folder)
    if not is_gone:
        old.mkdir()
    return old


@pytest.mark.parametrize("is_gone", (True, False))
def test_a_person_is_gone_from_archives_that_were_moved(erasing, is_gone):
    here = erasing()
    here.archive()
    move(here, is_gone)
    done = here.erase("--yes")
    assert done.code == 0 and here.generations() == {"0002"}, done
    assert here.site.database.value(LEFT) == 0
    here.is_without_them()


@pytest.mark.parametrize("is_gone", (True, False))
@pytest.mark.parametrize("step", ("erase_returned", "archive_emptied"))
def test_an_erasure_that_is_killed_goes_on_where_archives_were_moved_to(erasing, step, is_gone):
    """As long as anything of a generation is there, its manifest is, which tells whose it is."""
    here = erasing(build="check")
    here.archive()
    old = move(here, is_gone)
    killed = here.site.start("tallymill", "erase", *THEIRS, "--yes", failpoint=f"{step}:exit", name="killed")
    assert killed.wait(120) == 86, killed.log()
    done = here.erase("--yes")
    assert done.code == 0 and here.generations() == {"0002"} and not list(old.rglob("*")), done
    here.is_without_them()


def test_an_older_archive_that_is_nowhere_is_named_until_it_is_found(erasing):
    here = erasing()
    site = here.site
    here.archive()
    site.must("tallymill", "restore", MONTH)
    here.settle()
    site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
    kept = here.folder.rename(here.folder.with_name("nobody-knows"))
    here.folder.mkdir()
    for target in (here.folder, here.folder.with_name("another")):
        target.mkdir(exist_ok=True)
        point_at(site, f"target = {here.folder}", f"target = {target}")
        done = here.erase("--yes")
        assert done.code == 1 and "(generation 1) may hold them" in done.err and str(target) in done.err and "SET parts = 0" in done.err, done
        assert site.database.value(LEFT) > 0
        point_at(site, f"target = {target}", f"target = {here.folder}")
    here.folder.rmdir()
    kept.rename(here.folder)
    done = here.erase("--yes")
    assert done.code == 0 and site.database.value(LEFT) == 0 and here.generations() == set(), done


def test_what_was_begun_and_is_nowhere_holds_nobody(erasing):
    here = erasing(build="check")
    wait_until(lambda: here.site.start("tallymill", "archive", MONTH, failpoint="archive_part:exit").wait(60) == 86, 60, "the month to be settled, and begun")
    here.folder.rename(here.folder.with_name("nobody-knows"))
    here.folder.mkdir()
    done = here.erase("--yes")
    assert done.code == 0 and here.site.database.value(LEFT) == 0, done


@pytest.mark.parametrize("is_gone", (True, False))
def test_archives_that_were_moved_are_verified_and_come_back(archive, is_gone):
    here = archive(count=40)
    here.must()
    move(here, is_gone)
    for words in ((), (MONTH,)):
        assert "is whole: generation 1" in here.must("--verify", *words).out
    part = here.folder / "analytics_events" / MONTH / "0001" / "part-00001.csv.zst"
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    done = here.run("--verify")
    assert done.code == 1 and "DAMAGED" in done.err, done
    part.write_bytes(content)
    here.restore()
    here.is_back()


def test_an_archive_whose_place_is_only_away_is_not_looked_for_elsewhere(archive):
    """A server that does not answer says nothing about what it holds."""
    here = archive(count=40)
    here.must()
    new = here.folder.with_name("new")
    new.mkdir()
    point_at(here.site, here.folder, new)
    here.site.database.run("UPDATE tallymill.archives SET target = 's3://bucket/archive'")
    with here.site.settings.open("a") as file:
        file.write("[s3]\nendpoint = http://127.0.0.1:1\naccess_key = k\nsecret_key = s\n")
    for words in (("archive", "--verify"), ("restore", MONTH, "--newer")):
        done = here.site.tallymill(*words)
        assert done.code == 1 and "127.0.0.1:1" in done.err and "DAMAGED" not in done.err + done.out, done


@pytest.mark.plain_servers("pg_dump would need the login's files")
@pytest.mark.parametrize("is_gone", (True, False))
def test_an_archive_that_is_newer_than_the_books_is_offered_where_it_was_moved_to(erasing, is_gone):
    here = erasing()
    older_copy(here, lambda: here.erase("--yes"))
    move(here, is_gone)
    for words in (("restore", MONTH), ("archive", "--verify")):
        done = here.site.tallymill(*words)
        assert done.code == 1 and "has generation 2" in done.err and str(here.folder) in done.err and f"restore {MONTH} --newer" in done.err, done
    assert "of generation 2" in here.site.must("tallymill", "restore", MONTH, "--newer").out


def listed(here):
    return next(month for month in json.loads(here.site.must("tallymill", "months", "--json").out)["months"] if month["month"] == MONTH)


def test_older_generations_go_wherever_they_were_written(archive):
    here = archive(count=40)
    old, new = here.folder, here.folder.with_name("new")
    here.must()
    here.restore()
    new.mkdir()
    point_at(here.site, old, new)
    away = old.rename(old.with_name("away"))
    done = here.run()
    assert done.code == 1 and f"{MONTH} archived" in done.out and f"generation 1 of {MONTH}" in done.err and str(old) in done.err, done
    here.is_away()
    assert listed(here)["is_unfinished"] and listed(here)["leftovers"] == f"generation 1 in {old}"
    assert f"not finished: generation 1 in {old}" in here.site.must("tallymill", "months").out
    done = here.run("--due")
    assert done.code == 1 and str(old) in done.err, done
    away.rename(old)
    assert "is archived" in here.must("--due").out
    assert not [path for path in old.rglob("*") if path.is_file()] and not listed(here)["is_unfinished"]
    assert {path.parent.name for path in new.rglob("*") if path.is_file()} == {"0002"}
    assert "no month is due" in here.must("--due").out
    here.restore()
    here.is_back()
