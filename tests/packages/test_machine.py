"""The package where it is meant to run: a booted systemd. Installed, killed, reloaded, upgraded under load, removed; and beside its Postgres, by `peer`."""

import os
import pathlib
import re
import shutil
import threading
import time

from psycopg2 import extensions

from integration.harness.publisher import event
from integration.harness.waiting import wait_until

WORKERS = [f"tallymill-consumer@{number}.service" for number in (1, 2, 3)]
AGGREGATOR = "tallymill-aggregator.service"
UNITS = [*WORKERS, AGGREGATOR]
AUDIT = "tallymill-audit.service"
RATE = 1000


class Load:
    """So many events a second, until it is left."""

    def __init__(self, site):
        self.site = site
        self.is_over = threading.Event()
        self.sent = 0
        self.thread = threading.Thread(target=self._send)

    def _send(self):
        start = time.monotonic()
        while not self.is_over.wait(0.05):
            due = int((time.monotonic() - start) * RATE)
            while self.sent < due:
                self.site.publisher.send(event("login", session_id=f"s{self.sent % 500}"))
                self.sent += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self.site.publisher.flush()


def settle(machine, site, before=None):
    """Every unit runs, with another process than before where one is given."""
    def running():
        return all(machine.show(unit, "ActiveState") == "active" and machine.show(unit, "SubState") == "running" for unit in UNITS) \
            and (before is None or all(machine.main_pid(unit) not in (0, before[unit]) for unit in UNITS))
    wait_until(running, 90, lambda: "\n".join(machine.run("systemctl", "status", "--no-pager", unit).out for unit in UNITS))
    return {unit: machine.main_pid(unit) for unit in UNITS}


def units(machine):
    return machine.must("systemctl", "list-units", "--all", "--plain", "--no-legend", "tallymill*").split()


def start_slow_audit(machine):
    """A nightly run that is at work for an hour, in place of a large table's; its process."""
    machine.put(f"/etc/systemd/system/{AUDIT}.d/slow.conf", "[Service]\nExecStart=\nExecStart=/bin/sleep 3600\n")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "start", "--no-block", AUDIT)
    return wait_until(lambda: machine.main_pid(AUDIT), 30, "the audit to be at work")


def exposure(machine, unit):
    out = machine.must("systemd-analyze", "security", "--no-pager", unit)
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", out).group(1))


SECRETS = ("dsn", "kafka-password")


def settings_of(machine, site):
    """The site's settings as an operator writes them to /etc/tallymill. Of secured servers the passwords are root's own files, which systemd hands to the services: as docs/quick-start.md says."""
    text = re.sub(r"^(dir|subjects) = /.*\n", "", site.settings.read_text(), flags=re.MULTILINE)  # of the test's own folder: the shipped ones
    if site.stack.is_secure:
        secrets = site.stack.state / "secrets"
        words = extensions.parse_dsn(site.database.dsn)
        words["password"] = pathlib.Path(words.pop("passfile")).read_text().strip().rsplit(":", 1)[1]
        machine.put("/etc/tallymill/dsn", extensions.make_dsn(**{**words, "sslrootcert": "/etc/tallymill/ca.pem"}), 0o600)
        machine.put("/etc/tallymill/kafka-password", (secrets / "kafka-password").read_text(), 0o600)
        machine.put("/etc/tallymill/ca.pem", (secrets / "ca.pem").read_text())
        text = re.sub(r"^dsn = .*", "dsn = @dsn", text, flags=re.MULTILINE)
        text = text.replace(str(secrets / "kafka-password"), "kafka-password").replace(str(secrets / "ca.pem"), "/etc/tallymill/ca.pem")
        machine.put("/etc/systemd/system/tallymill-.service.d/secrets.conf", "[Service]\n" + "".join(f"LoadCredential={name}:/etc/tallymill/{name}\n" for name in SECRETS))
        machine.must("systemctl", "daemon-reload")
    machine.put("/etc/tallymill/tallymill.ini", text)


def test_installed_killed_reloaded_upgraded_under_load_and_removed_nothing_is_lost(machine, make_site, packages, newer):
    site = make_site(partitions=6, migrate=False)
    machine.apt("update")
    machine.apt("install", "-o", "Dpkg::Options::=--force-confold", *machine.take(packages))
    assert machine.programs() == {}  # the package starts nothing
    settings_of(machine, site)
    machine.must("tallymill", "migrate", "--config", "/etc/tallymill/tallymill.ini")
    started = machine.run("systemctl", "enable", "--now", *UNITS)
    assert started.code == 0, f"{started}{machine.run('journalctl', '--no-pager', '-n', '80', '-u', 'tallymill-*').out}"
    before = settle(machine, site)
    figures = {unit: exposure(machine, unit) for unit in UNITS}
    print("exposure:", figures)
    assert max(figures.values()) <= 1.1
    with Load(site) as load:
        for unit in UNITS:
            machine.must("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", unit)
        before = settle(machine, site, before)
        for unit in UNITS:
            machine.must("systemctl", "reload", unit)
            wait_until(lambda unit=unit: "settings read again" in machine.must("journalctl", "--no-pager", "-u", unit), 30, f"{unit} to read its settings again")
        assert before == settle(machine, site)
        audit = start_slow_audit(machine)
        machine.apt("install", "-o", "Dpkg::Options::=--force-confold", *machine.take(newer))
        assert machine.main_pid(AUDIT) == audit  # what is at work is not begun anew, and apt does not wait for it
        after = settle(machine, site, before)
        paths = machine.programs()
        assert set(after.values()) <= set(paths) and not any("(deleted)" in path for path in paths.values()), paths
        wait_until(lambda: load.sent > 20 * RATE, 120, "20 seconds of load")
        status = machine.must("systemctl", "status", "--no-pager", WORKERS[0])
        assert re.search(r'Status: "\d+ topic partitions, \d+ rows/s, ', status), status
    site.wait_until_drained(120)
    site.wait_until_folded(120)
    site.assert_holds()
    machine.apt("remove", "tallymill")
    assert machine.programs() == {}
    assert units(machine) == []  # nor the audit, which was ended and so has failed
    machine.apt("purge", "tallymill")
    assert not (machine.root / "etc/tallymill/tallymill.ini").exists()
    assert site.database.value("SELECT count(*) FROM analytics_events") == load.sent
    (machine.root / f"etc/systemd/system/{AUDIT}.d/slow.conf").unlink()  # the root may be kept


def test_the_nightly_proof_runs_and_leaves_its_metrics(machine, make_site, packages):
    site = make_site(migrate=False)
    machine.apt("update")
    machine.apt("install", *machine.take(packages))
    settings_of(machine, site)
    machine.must("tallymill", "migrate", "--config", "/etc/tallymill/tallymill.ini")
    folder = "/var/lib/prometheus/node-exporter"
    machine.must("mkdir", "-p", folder)
    machine.must("systemctl", "enable", "--now", "tallymill-audit.timer")
    assert machine.show("tallymill-audit.timer", "ActiveState") == "active"
    machine.must("systemctl", "start", "--wait", AUDIT)
    for name in ("audit", "verify"):
        page = machine.root / folder.lstrip("/") / f"tallymill-{name}.prom"
        wait_until(page.exists, 60, lambda: machine.run("journalctl", "--no-pager", "-u", f"tallymill-{name}.service").out)
        assert f"tallymill_{name}_success 1\n" in page.read_text()
        assert page.stat().st_mode & 0o777 == 0o644, oct(page.stat().st_mode)  # the node exporter runs as prometheus
    figures = {name: exposure(machine, f"tallymill-{name}.service") for name in ("audit", "verify", "advise", "archive", "dashboard")}
    print("exposure:", figures)
    assert max(figures.values()) <= 1.1
    state = machine.root / "var/lib/private/tallymill"
    wait_until(lambda: sorted(path.name for path in state.iterdir()) == ["advise.prom", "audit.prom", "verify.prom"], 60, lambda: sorted(state.iterdir()))
    machine.put("/var/lib/private/tallymill/archive/2024-01/part", "a month that is nowhere else")
    machine.apt("purge", "tallymill")
    assert not list((machine.root / folder.lstrip("/")).glob("tallymill-*"))  # figures that would stand still, and wake somebody
    assert [str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()] == ["archive/2024-01/part"]


def test_an_aggregator_beside_its_postgres_needs_no_network_and_comes_as_itself(machine, packages):
    """Peer authentication: Postgres asks the kernel who is at the other end of its socket, and the service runs in a namespace of users."""
    machine.apt("update")
    machine.apt("install", "postgresql", "libnss-systemd", *machine.take(packages))
    port = 41000 + os.getpid() % 20000  # this machine's network is shared, and so are its ports
    machine.must("sh", "-c", f"pg_conftool set port {port}; pg_conftool set listen_addresses ''; systemctl restart postgresql")
    wait_until(lambda: machine.run("runuser", "-u", "postgres", "--", "psql", "-p", str(port), "-c", "SELECT 1").code == 0, 60, "Postgres")
    sql = "CREATE ROLE tallymill LOGIN; CREATE DATABASE tallymill ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    for statement in sql.split("; "):
        machine.must("runuser", "-u", "postgres", "--", "psql", "-p", str(port), "-c", statement)
    dsn = f"host=/run/postgresql port={port} dbname=tallymill"
    machine.put("/etc/tallymill/tallymill.ini", f"[kafka]\nbootstrap.servers = 127.0.0.1:1\n[postgres]\ndsn = {dsn}\n")
    machine.must("runuser", "-u", "postgres", "--", "tallymill", "migrate", "--no-topic", "--config", "/etc/tallymill/tallymill.ini")
    machine.must("runuser", "-u", "postgres", "--", "psql", "-p", str(port), "-d", "tallymill", "-c", "GRANT tallymill_aggregate TO tallymill")
    drop_in = machine.root / "etc/systemd/system/tallymill-aggregator.service.d"
    drop_in.mkdir(parents=True, exist_ok=True)
    shutil.copy(machine.root / "usr/share/doc/tallymill/drop-ins/tallymill-aggregator-local.conf", drop_in / "local.conf")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "start", AGGREGATOR)
    wait_until(lambda: "leading" in machine.show(AGGREGATOR, "StatusText"), 60, lambda: machine.run("systemctl", "status", "--no-pager", AGGREGATOR).out)
    assert exposure(machine, AGGREGATOR) <= 0.2
    user = machine.must("runuser", "-u", "postgres", "--", "psql", "-p", str(port), "-Atc", "SELECT usename FROM pg_stat_activity WHERE application_name = 'tallymill-aggregator'")
    assert set(user.split()) == {"tallymill"}
    machine.must("systemctl", "stop", AGGREGATOR)
