"""`tallymill doctor` as each of the logins that there are: what one may not ask is no finding, and nobody is advised a right that is not of his duty."""

import contextlib
import json
import os
import re

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.postgres_server import PostgresServer
from .harness.program import environment, run
from .harness.publisher import events
from .test_doctor import check_of, examine, findings_of, fixture_sound, fixture_whole, must_find    # pylint: disable=unused-import


@contextlib.contextmanager
def login(site, name, *roles):
    """The programs have that login, with these roles, for a while."""
    name = f"{name}_{re.search('dbname=([^ ]+)', site.database.dsn).group(1)[-20:].replace('-', '_')}"
    site.database.run(f"CREATE ROLE {name} LOGIN" + (f"; GRANT {', '.join(roles)} TO {name}" if roles else ""))
    before = site.settings.read_text()
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=name))
    try:
        yield name
    finally:
        site.settings.write_text(before)
        site.database.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_doctor_as_a_worker_asks_what_it_may_and_finds_nothing(sound):
    with login(sound, "worker", "tallymill_ingest"):
        code, answer = examine(sound)
        assert code == 0 and not findings_of(answer), json.dumps(answer, indent=1)
        unasked = [check for check in answer["checks"] if check["state"] == "not asked"]
        assert "GRANT" not in json.dumps(answer) and len(unasked) > 5, json.dumps(answer, indent=1)
        assert all("ask as one that has tallymill_read" in check["said"] for check in unasked if check["name"] not in ("disk", "settings", "processes")), unasked
        assert check_of(answer, "acls")["state"] == "ok", answer
        sound.database.run("REVOKE INSERT ON analytics_events FROM tallymill_ingest")
        must_find(sound, "rights", "tallymill_ingest may not INSERT on table public.analytics_events", "GRANT INSERT ON TABLE public.analytics_events TO tallymill_ingest")


@pytest.mark.parametrize("role", ["tallymill_admin", "tallymill_aggregate", "tallymill_read"])
def test_doctor_as_whoever_may_read_finds_nothing_either(sound, role):
    with login(sound, "other", role):
        code, answer = examine(sound)
        assert code == 0 and not findings_of(answer), json.dumps(answer, indent=1)
        assert "tallymill_ingest TO" not in json.dumps(answer), answer


def test_doctor_names_the_role_that_lost_what_its_own_login_needs(sound):
    """Without the schema nothing can be asked; the login is a member already."""
    with login(sound, "reader", "tallymill_read"):
        sound.database.run("REVOKE USAGE ON SCHEMA tallymill FROM tallymill_read")
        hit = must_find(sound, "schema", "has the role tallymill_read, which has lost", "GRANT USAGE ON SCHEMA tallymill TO tallymill_read")
        assert "GRANT tallymill_read" not in hit["remedy"], hit


def test_doctor_names_the_login_of_a_worker_that_is_connected_and_may_not_store(sound):
    with login(sound, "stranger") as stranger:
        connected = psycopg2.connect(extensions.make_dsn(sound.database.dsn, user=stranger, application_name="tallymill-consumer"))
        with contextlib.closing(connected), login(sound, "reader", "tallymill_read"):
            must_find(sound, "schema", f"workers are connected as {stranger}, which may not store", f'GRANT tallymill_ingest TO "{stranger}"')


def test_doctor_says_that_no_login_may_store_and_does_not_advise_that_its_own_should(make_site):
    site = make_site(partitions=1)
    with PostgresServer(site.stack) as server:
        site.connect_programs_by(server.dsn)
        assert site.tallymill("migrate").code == 0
        site.send(events(30))
        admin = psycopg2.connect(server.dsn)
        admin.autocommit = True
        with contextlib.closing(admin), admin.cursor() as cursor:
            cursor.execute("CREATE ROLE looks LOGIN; GRANT tallymill_read TO looks")
            site.connect_programs_by(extensions.make_dsn(server.dsn, user="looks"))
            hit = must_find(site, "workers", "no login has the role tallymill_ingest", "in the workers' settings")
            assert "looks" not in hit["remedy"], hit
            cursor.execute("CREATE ROLE stores LOGIN; GRANT tallymill_ingest TO stores")
            hit = must_find(site, "workers", "these logins may store: stores", "journalctl -u tallymill-consumer@1")
            assert "tallymill_ingest" not in json.dumps(findings_of(examine(site)[1])), hit


def test_doctor_says_who_led_last_where_no_aggregator_is_connected(sound):
    """One that ends by an error says no goodbye: for a minute the books have it as the leader."""
    sound.database.run("UPDATE tallymill.leader SET leader = 'host-1:7', seen_at = now() - interval '12 s'")
    said = sound.tallymill("doctor").out.splitlines()[-1]
    assert "an aggregator leads" not in said and "host-1:7 was last seen to lead" in said, said
    with contextlib.closing(psycopg2.connect(extensions.make_dsn(sound.database.dsn, application_name="tallymill-aggregator"))):
        assert "an aggregator leads" in sound.tallymill("doctor").out.splitlines()[-1]


def systemctl(folder, script):
    """A PATH on which systemctl is that script."""
    folder.mkdir()
    (folder / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "systemctl").chmod(0o755)
    return environment(PATH=f"{folder}:{os.environ['PATH']}")


def told_by(site, env):
    return run(site.command("tallymill", "doctor"), 120, env=env)


def test_doctor_names_a_unit_of_this_host_that_has_failed(sound, tmp_path):
    listed = "tallymill-consumer@2.service loaded failed failed Tallymill worker 2\ntallymill-audit.service loaded failed failed Tallymill audit"
    broken = systemctl(tmp_path / "broken", f"cat <<'END'\n{listed}\nEND")
    with login(sound, "reader", "tallymill_read"):
        for unit in ("tallymill-consumer@2.service", "tallymill-audit.service"):
            must_find(sound, "processes", f"unit {unit} of this host has failed", f"journalctl -u {unit}", env=broken)
        assert "see above" in told_by(sound, broken).out.splitlines()[-1]
        for folder, script, said in (("well", "exit 0", "no unit of this host has failed"), ("none", "echo 'System has not been booted with systemd' >&2; exit 1", "systemd was not asked")):
            done = told_by(sound, systemctl(tmp_path / folder, script))
            assert done.code == 0 and said in done.out.splitlines()[-1], done
