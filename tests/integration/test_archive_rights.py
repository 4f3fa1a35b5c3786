"""Archives in a directory that root and the nightly unit share: the unit is another user, and nothing that root leaves there keeps it out.

The unit is played by a user id that has no name here, started by setpriv, as every service is one that may do nothing but read the settings and use the target.
"""

import json
import os
import pathlib
import tempfile

import pytest
from psycopg2 import extensions

from .harness.program import SETPRIV, run
from .harness.secured import dsn_with
from .test_archive import MONTH, make_archive  # noqa: F401  (the fixture `archive`)

UNIT, STRANGER = 48_211, 48_212

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def open_ways(folder):
    """Lets others go through pytest's own folders to this one; what is in them stays as it is."""
    for above in pathlib.Path(folder).resolve().parents:
        if above != pathlib.Path(tempfile.gettempdir()).resolve() and above.stat().st_uid == 0 and above != pathlib.Path("/"):
            above.chmod(above.stat().st_mode | 0o011)


def give(path, uid):
    for one in (path, *path.rglob("*")):
        os.chown(one, uid, uid, follow_symlinks=False)


def owners(folder):
    """Of all that there is: user, group, mode."""
    return {(one.stat().st_uid, one.stat().st_gid, oct(one.stat().st_mode & 0o777)) for one in folder.rglob("*")}


@pytest.fixture(name="shared")
def make_shared(archive):
    """A month to archive, and a target that belongs to the unit's user."""
    def make(**how):
        here = archive(**how)
        open_ways(here.folder / "one")
        here.folder.chmod(0o700)
        os.chown(here.folder, UNIT, UNIT)
        return here

    return make


def readable_by(here, uid):
    """Words by which that user comes to a secured Postgres: the files of its connection string are root's."""
    given = extensions.parse_dsn(here.site.database.dsn)
    copies = {}
    for name in {"passfile", "sslrootcert"} & given.keys():
        copies[name] = here.folder.parent.parent / f"{name}.{uid}"  # whoever shuts that of the site shuts none of these away
        copies[name].write_text(pathlib.Path(given[name]).read_text())
        copies[name].chmod(0o600)
        os.chown(copies[name], uid, uid)
    return ("--set", f"postgres.dsn={dsn_with(here.site.database.dsn, **copies)}") if copies else ()


def as_user(here, *words, uid=UNIT, build="release"):
    user = ["env", f"HOME={here.folder.parent}", SETPRIV, "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    command = here.site.command("tallymill", *words, *readable_by(here, uid), build=build)
    if "--config" in words:
        command[2:4] = []
    return run([*user, *command], deadline=120)


def test_what_root_archives_the_unit_reads_restores_and_writes_anew(shared):
    here = shared()
    here.must()
    assert owners(here.folder) == {(UNIT, UNIT, "0o700"), (UNIT, UNIT, "0o600")}
    assert as_user(here, "archive", "--verify").code == 0
    restored = as_user(here, "restore", MONTH)
    assert restored.code == 0, restored
    here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")    # so that it is written again
    again = as_user(here, "archive", MONTH)
    assert again.code == 0 and {name.split("/")[0] for name in here.files()} == {"0002"}, again
    here.is_away()


def test_an_erasure_by_root_leaves_an_archive_that_the_unit_can_use(shared):
    here = shared()
    assert as_user(here, "archive", MONTH).code == 0
    here.site.aggregator()
    here.site.must("tallymill", "erase", "--user", "7", "--yes")
    assert owners(here.folder) == {(UNIT, UNIT, "0o700"), (UNIT, UNIT, "0o600")} and here.files()[0].startswith("0002")
    assert as_user(here, "archive", "--verify").code == 0


@pytest.mark.parametrize("step", ("archive_folder", "archive_part", "archive_written", "archive_manifest"))
def test_a_run_by_root_that_is_killed_keeps_the_unit_from_nothing(shared, step):
    here = shared(build="check")
    killed = here.site.start("tallymill", "archive", MONTH, failpoint=f"{step}:exit", name="killed")
    assert killed.wait(60) == 86, killed.log()
    done = as_user(here, "archive", MONTH, build="check")
    assert done.code == 0, done
    here.is_away()


def test_folders_that_an_older_release_left_to_root_are_the_units_after_the_next_run_by_root(shared):
    here = shared()
    (here.folder / "analytics_events" / MONTH).mkdir(parents=True, mode=0o700)
    here.must()
    assert {owner for owner, _, _ in owners(here.folder)} == {UNIT}


@pytest.mark.parametrize("place", ("analytics_events", f"analytics_events/{MONTH}", f"analytics_events/{MONTH}/0001", f"analytics_events/{MONTH}/0001/part-00001.csv.zst.new"))
def test_root_follows_no_link_that_the_owner_of_the_target_has_laid(shared, place, tmp_path):
    """Else whoever runs the unit could have root write, give away or delete anything."""
    here = shared()
    elsewhere = tmp_path / "root's"
    elsewhere.mkdir()
    kept = elsewhere / "kept"
    kept.write_text("kept")
    link = here.folder / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(kept if place.endswith(".new") else elsewhere)
    give(here.folder, UNIT)
    done = here.run()
    assert [one.name for one in elsewhere.iterdir()] == ["kept"] and kept.read_text() == "kept" and kept.stat().st_uid == 0
    if place.endswith(".new"):
        assert done.code == 0 and {(owner, group) for owner, group, _ in owners(here.folder)} == {(UNIT, UNIT)}, done
    else:
        assert done.code == 2 and "is a link" in done.err and f"run it as {UNIT}" in done.err, done
        here.is_back()


def test_where_rights_are_wanting_who_whose_and_what_mends_it_are_said(shared):
    """Also for a folder of which nothing can be seen: it is no manifest that would be refused."""
    here = shared()
    events = here.folder / "analytics_events"
    mends = f"this is user {UNIT}, and it belongs to root: chown -R {UNIT}: {here.folder}"
    events.mkdir(mode=0o700)
    refused = as_user(here, "archive", MONTH)
    assert refused.code == 2 and f"{events}: Permission denied: {mends}" in refused.err and "manifest" not in refused.err, refused
    give(here.folder, UNIT)
    assert as_user(here, "archive", MONTH).code == 0
    for words in (("archive", "--verify"), ("restore", MONTH)):
        for path in (events, events / MONTH / "0001", events / MONTH / "0001" / "manifest.json", events / MONTH / "0001" / "part-00001.csv.zst"):
            os.chown(path, 0, 0)
            refused = as_user(here, *words)
            assert refused.code == 2 and str(path) in refused.err and mends in refused.err, (words, path, refused)
            os.chown(path, UNIT, UNIT)
    assert as_user(here, "restore", MONTH).code == 0
    here.site.database.run("UPDATE tallymill.archives SET state = 'superseded'")
    (events / MONTH / "0001").chmod(0o500)   # an older generation that cannot be deleted
    left = as_user(here, "archive", MONTH)
    assert left.code == 1 and f"chmod -R u+rwX {here.folder}" in left.err, left


def test_a_target_that_is_anothers_is_told_with_whose_it_is(shared, tmp_path):
    here = shared()
    refused = as_user(here, "archive", MONTH, uid=STRANGER)
    assert refused.code == 2 and f"this is user {STRANGER}, and it belongs to {UNIT}: run it as {UNIT}, whose the target is, or as root" in refused.err, refused
    settings = tmp_path / "settings.ini"
    settings.write_text(here.site.settings.read_text())
    here.folder.parent.chmod(0o700)
    done = as_user(here, "archive", MONTH, "--config", settings, uid=STRANGER)
    assert done.code == 2 and f"this is user {STRANGER}, whom a directory above it keeps out: namei -l {here.folder}" in done.err, done


def test_check_and_doctor_find_what_would_keep_the_unit_out(shared):
    here = shared()
    here.must()
    assert here.run("--check").code == 0 and as_user(here, "archive", "--check").code == 0
    part = here.folder / "analytics_events" / MONTH / "0001" / "part-00001.csv.zst"
    os.chown(part, 0, 0)
    mends = f"chown -R {UNIT}: {here.folder}"

    def found(doctor):
        return [one["remedy"] for check in json.loads(doctor.out)["checks"] for one in check["findings"] if one["object"] == "archive.target"]

    for check, doctor in ((here.run("--check"), here.site.tallymill("doctor", "--json")), (as_user(here, "archive", "--check"), as_user(here, "doctor", "--json"))):
        assert check.code == 2 and str(part) in check.err and "belongs to root" in check.err and mends in check.err, check
        assert found(doctor) == [mends], doctor
    assert found(as_user(here, "doctor", "--json", uid=STRANGER)) == [], "who has nothing to do there"
    os.chown(here.folder, 0, 0)
    os.chown(part, UNIT, UNIT)
    assert mends in here.run("--check").err, "root's target, and archives of the unit: what root writes has to be the unit's"
    os.chown(here.folder, UNIT, UNIT)
    here.folder.chmod(0o500)
    refused = as_user(here, "archive", "--check")
    assert refused.code == 2 and f"chmod -R u+rwX {here.folder}" in refused.err, refused
    assert len(found(as_user(here, "doctor", "--json"))) == 1
    here.folder.chmod(0o700)
    (here.folder / "lost+found").mkdir()    # root's, as on each disk
    assert here.run("--check").code == 0
