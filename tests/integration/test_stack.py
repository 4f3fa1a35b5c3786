"""deploy/stack keeps its word: it goes on after a crash, leaves strangers alone, and deletes only what it made."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import psycopg2
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg2 import extensions

from .harness.database import Database
from .harness.program import ROOT, run
from .harness.stack import Stack

SERVERS = ("kafka-1", "postgres")


@pytest.fixture(name="folder")
def _folder():
    """A folder that the account of Postgres can enter; pytest's own are closed to it."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_stack_goes_on_with_its_data_after_all_of_it_was_killed(folder):
    with Stack(folder / "stack") as stack:
        Database(stack.dsn).run("CREATE TABLE kept AS SELECT 1 AS one")
        for server in SERVERS:
            os.kill(stack.pid(server), signal.SIGKILL)
        assert not stack.is_running()
        stack.must("start", deadline=300)
        assert stack.is_running()
        assert Database(stack.attach().dsn).value("SELECT one FROM kept") == 1


def test_a_second_start_says_that_it_runs_and_changes_nothing(folder):
    with Stack(folder / "stack", secure=False) as stack:
        before = [stack.pid(server) for server in SERVERS], stack.dsn
        again = stack.must("start")
        assert "already running" in again.err
        assert (stack.state / "settings.ini").read_text() == again.out
        assert ([stack.pid(server) for server in SERVERS], stack.attach().dsn) == before
        other = run([str(ROOT / "deploy" / "stack"), "start", "--brokers", "3", "--state", str(stack.state)])
        assert other.code == 2 and "reset" in other.err
        other = run([str(ROOT / "deploy" / "stack"), "start", "--secure", "--state", str(stack.state)])
        assert other.code == 2 and "reset" in other.err


def test_a_secured_stack_lets_in_by_password_or_certificate_and_keeps_its_secrets(folder):
    with Stack(folder / "stack", secure=True) as stack:
        assert stack.admin.list_topics(timeout=30).brokers  # by the certificate
        assert Database(stack.dsn).value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        for worse in ({"sslmode": "disable"}, {"password": "wrong"}, {"host": "localhost"}):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(extensions.make_dsn(stack.dsn, **worse))
        with pytest.raises(KafkaException):  # a certificate is asked for
            properties = {name: value for name, value in stack.client.items() if name not in ("ssl.certificate.location", "ssl.key.location")}
            AdminClient({**properties, "bootstrap.servers": stack.bootstrap + ","}).list_topics(timeout=5)  # no name that is known
        kept = (stack.state / "secrets").glob("*")
        assert kept and {path.stat().st_mode & 0o77 for path in kept} == {0}
        secrets = {(stack.state / "secrets" / name).read_text().strip().rsplit(":", 1)[-1] for name in ("kafka-password", "pgpass")}
        said = (stack.state / "settings.ini").read_text() + "".join(path.read_text() for path in (stack.state / "logs").glob("*.log"))
        assert not any(secret in said for secret in secrets)
        stack.must("stop")
        stack.must("start", deadline=300)  # goes on as it was made
        assert stack.attach().is_secure and stack.admin.list_topics(timeout=30).brokers
        assert "SASL_SSL" in (stack.state / "settings.ini").read_text()
    assert not (folder / "stack").exists()


def test_a_state_directory_that_postgres_cannot_enter_holds_a_link_to_the_data(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with Stack(closed / "stack") as stack:
        data = (stack.state / "postgres").resolve()
        assert (data / "PG_VERSION").exists()
        assert Database(stack.dsn).value("SHOW timezone") == "UTC"
    assert not data.exists() and not (closed / "stack").exists()


def test_stop_leaves_a_process_alone_that_only_has_a_recorded_number(folder):
    stack = Stack(folder / "stack")
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        with stack:
            pids = stack.state / "pids"
            who = {server: (pids / f"{server}.who").read_text() for server in SERVERS}
            stack.must("stop")
            for server in SERVERS:  # as a reboot leaves it: the record of before, the number someone else's
                (pids / f"{server}.pid").write_text(f"{stranger.pid}\n")
                (pids / f"{server}.who").write_text(who[server])
            assert not stack.is_running()
            stack.must("stop")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_reset_deletes_what_the_stack_made_and_nothing_else(folder):
    with Stack(folder / "stack") as stack:
        (stack.state / "mine.txt").write_text("keep me")
        dsn = stack.dsn
    assert [left.name for left in (folder / "stack").iterdir()] == ["mine.txt"]
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(dsn, connect_timeout=5)


def test_what_is_missing_is_named_with_the_command_that_installs_it(folder):
    # Nothing on the PATH but what the script itself uses.
    (folder / "bin").mkdir()
    for tool in ("bash", "dirname", "readlink", "dpkg-query", "apt-cache", "id"):
        found = shutil.which(tool)
        if found:
            (folder / "bin" / tool).symlink_to(found)
    done = run([shutil.which("bash"), str(ROOT / "deploy" / "stack"), "start", "--state", str(folder / "stack")],
               env={"PATH": str(folder / "bin"), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")})
    assert done.code == 2
    assert "java (17 or newer)" in done.err and "maven" in done.err
    assert not (folder / "stack").exists() or not (folder / "stack" / "stack.json").exists()
