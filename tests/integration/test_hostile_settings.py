"""Settings of a database, a login or a pooled connection that others chose: what we read and write does not depend on them."""

import contextlib
import datetime
import pathlib
import tempfile

import psycopg2
import pytest
from psycopg2 import extensions

from faults.rows.pooler import Pooler

from .harness.hostile_settings import NEWER, TIMES, login_name, make_login
from .harness.publisher import event, events, now_us
from .harness.rolling import COUNTED
from .harness.waiting import wait_until
from .test_archive import MONTH, of_month


def hostile_login(site, rights, **settings):
    """A login of this site's database alone for which all of them are set; the programs use it from now on."""
    return make_login(site.database, login_name(site), rights, **settings)


def live(site, is_checked=True):
    """Everything that the programs do: rows, duplicates, dead letters, claims with anchors, statistics, rollups, proofs, replay."""
    made = list(events(300, seed=3, days=2))
    stale = event(created_us=now_us() - 86_400_000_000 * 3000)    # outside of the window: a dead letter with its bytes
    site.send([*made, stale])
    site.drain()
    site.send([*made[:40], *events(50, seed=4, days=40)])
    site.drain()
    site.fold()
    assert site.outcomes() == (350, 40, 1, 0)
    for command in (("verify",), ("audit", "--deep"), ("status",), ("dlq",), ("migrate",)):
        done = site.tallymill(*command)
        assert done.code == 0, done
    day = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)
    done = site.tallymill("dlq", "replay")
    assert (done.code, "1" in done.out) == (0, True), done
    site.drain()
    with_aggregator = site.aggregator()
    done = site.tallymill("rebuild", day)
    assert done.code == 0, done
    assert with_aggregator.stop() == 0
    assert site.outcomes() == (350, 40, 2, 0)
    assert site.database.value("SELECT count(DISTINCT message_value) FROM tallymill.dead_letters") == 1
    if is_checked:
        site.assert_holds()


def anchors_are_compared(site):
    """Another message where the last stored one was: the worker that claims next says so, and stores nothing."""
    site.database.run("UPDATE tallymill.batches SET anchor_hash = substr(sha256(anchor_hash), 1, octet_length(anchor_hash))")
    site.send([event() for _ in range(50)])
    worker = site.worker()
    wait_until(lambda: "another message stands where" in worker.log(), 30, lambda: f"the anchor to be compared:\n{worker.log()}")
    worker.stop()


@contextlib.contextmanager
def reachable_folder():
    """One that the pooler's account gets into, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="tallymill-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


def add_rollup(site):
    folder = site.folder / "rollups"
    folder.mkdir()
    (folder / "counted.sql").write_text(COUNTED)
    return folder


def test_no_setting_of_the_login_changes_what_is_read_or_written(make_site):
    site = make_site()
    site.settings.write_text(site.settings.read_text().replace(str(site.folder / "no-rollups"), str(add_rollup(site))))
    site.connect_programs_by(hostile_login(site, "IN ROLE tallymill_admin, tallymill_ingest, tallymill_aggregate", **TIMES, **NEWER))
    live(site)
    anchors_are_compared(site)


def test_the_schema_that_is_made_under_hostile_settings_is_the_same(make_site):
    plain = make_site()
    site = make_site(migrate=False)
    site.connect_programs_by(hostile_login(site, "SUPERUSER"))
    done = site.tallymill("migrate")
    assert done.code == 0, done

    def shape(database):
        return database.rows("""
            SELECT p.proname, p.prosrc, p.proconfig::text, p.prosqlbody::text IS NULL FROM pg_proc p WHERE pronamespace = 'tallymill'::regnamespace
            UNION ALL SELECT viewname, definition, NULL, NULL FROM pg_views WHERE schemaname = 'tallymill'
            UNION ALL SELECT conname, pg_get_constraintdef(oid), NULL, NULL FROM pg_constraint WHERE connamespace = 'tallymill'::regnamespace
            UNION ALL SELECT table_name, column_name, data_type || ' ' || coalesce(column_default, ''), NULL FROM information_schema.columns
                      WHERE table_schema IN ('tallymill', 'public')
            ORDER BY 1, 2, 3""")

    assert shape(site.database) == shape(plain.database)
    live(site)


@pytest.mark.parametrize("setting, value", [("bytea_output", "escape"), ("standard_conforming_strings", "off")])
def test_a_setting_of_the_database_does_not_switch_the_anchor_off(make_site, setting, value):
    site = make_site(partitions=1)
    name = extensions.parse_dsn(site.database.dsn)["dbname"]
    site.database.run(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    site.send(events(50))
    site.drain()
    assert site.database.value("SELECT count(*) FROM tallymill.anchors WHERE octet_length(anchor_hash) = 16") == 1
    anchors_are_compared(site)


def test_a_trigger_that_sets_something_for_the_rest_of_the_transaction_changes_nothing_of_ours(make_site):
    site = make_site(partitions=2)
    site.database.run("""
        CREATE FUNCTION public.settle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM set_config(name, value, true) FROM (VALUES ('standard_conforming_strings', 'off'), ('array_nulls', 'off'), ('search_path', 'public'), ('datestyle', 'German, DMY'),
            ('timezone', 'Pacific/Kiritimati'), ('bytea_output', 'escape'), ('backslash_quote', 'off')) AS s (name, value);
          RETURN NEW; END $$;
        CREATE TRIGGER settle BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION public.settle()""")
    live(site)
    assert site.database.rows("SELECT DISTINCT octet_length(anchor_hash) FROM tallymill.batches WHERE anchor_offset IS NOT NULL") == [(16,)]
    anchors_are_compared(site)


def test_behind_a_pooler_no_client_inherits_what_another_set(make_site, stack):
    site = make_site()
    dsn = hostile_login(site, "SUPERUSER", **TIMES)
    with reachable_folder() as folder, Pooler(stack, folder, users=("postgres", extensions.parse_dsn(dsn)["user"])) as between:
        site.connect_programs_by(extensions.make_dsn(dsn, port=between.port))
        live(site)
        anchors_are_compared(site)


def test_behind_a_pooler_an_archive_leaves_no_role_to_whoever_comes_next(make_site, stack, tmp_path):
    site = make_site(**{"archive.target": str(tmp_path)})
    site.send(of_month(100))
    site.drain()
    site.fold()
    with reachable_folder() as folder, Pooler(stack, folder) as between:
        pooled = extensions.make_dsn(site.database.dsn, port=between.port)
        site.connect_programs_by(pooled)
        site.must("tallymill", "archive", MONTH)
        with contextlib.ExitStack() as clients:     # side by side: each has a server connection of its own
            for _ in range(4):
                cursor = clients.enter_context(contextlib.closing(psycopg2.connect(pooled))).cursor()
                cursor.execute("SELECT current_user = session_user, current_setting('search_path'), current_setting('statement_timeout')")
                assert cursor.fetchone() == (True, '"$user", public', "0")
        site.must("tallymill", "restore", MONTH)
        site.assert_holds()
