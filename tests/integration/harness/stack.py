"""A private Kafka and Postgres for a test run, by the same `deploy/stack` that users have."""

import base64
import configparser
import contextlib
import json
import os
import pathlib
import shutil
import signal
import tempfile

import psycopg2
from psycopg2 import extensions

from . import secured_clients
from .database import Database
from .program import ROOT, environment, run
from .secured_clients import AdminClient
from .waiting import wait_until

COMMAND = ROOT / "deploy" / "stack"
QUICK_JAVA = "-XX:TieredStopAtLevel=1"  # without the optimizing compiler: it earns its keep after an hour, and takes half the CPU of a broker's start
IS_SECURE = "TALLYMILL_TEST_SECURE" in os.environ  # what a stack is where a test does not say (tests/run secure)


class Stack:
    """Started on entry, wiped on exit.  Several stand side by side, each in its own `state`."""

    def __init__(self, state, brokers=1, secure=IS_SECURE):
        self.state = pathlib.Path(state)
        self.brokers = brokers
        self.is_secure = secure
        self.templates = None  # of a stack that goes with us: by what they are migrated with, the databases that sites are copies of (site.py)

    def __enter__(self):
        how = ["--secure"] if self.is_secure else []
        started = self._command("start", "--brokers", str(self.brokers), *how, deadline=300)
        assert started.code == 0, started
        self.attach()
        self.templates = {}
        # No query here runs for as long as it takes to compile it, and of a table that nobody has counted Postgres thinks otherwise: a tenth of its CPU.
        # fsync stays on: without it `tallymill doctor` would rightly name it, and it costs these small commits no CPU.
        Database(self.dsn).run("ALTER SYSTEM SET jit = off")
        Database(self.dsn).run("SELECT pg_reload_conf()")
        return self

    def attach(self):
        """Takes a stack as it runs; whoever started it stops it."""
        self.settings = configparser.ConfigParser(interpolation=None)
        self.settings.read(self.state / "settings.ini")
        self.kafka = dict(self.settings["kafka"])  # how our programs come in
        self.client = {"bootstrap.servers": self.kafka["bootstrap.servers"]}  # how the test's own clients do: by certificate
        self.is_secure = "security.protocol" in self.kafka
        if self.is_secure:
            lines = (self.state / "kcat.conf").read_text().splitlines()
            self.client = dict(line.split("=", 1) for line in lines)
            secured_clients.remember(self.client)
        self.bootstrap = self.client["bootstrap.servers"]
        self.dsn = self.settings["postgres"]["dsn"]
        self.admin = AdminClient(self.client)  # kept: an answer comes only while it lives
        return self

    def client_of_java(self):
        """The properties by which Kafka's own tools come in."""
        if not self.is_secure:
            return {}
        pem = {"ssl.keystore.location": self.client["ssl.certificate.location"], "ssl.truststore.location": self.client["ssl.ca.location"]}
        return {"security.protocol": "SSL", "ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM", **pem}

    def __exit__(self, *_):
        self._command("reset", deadline=120)

    def _command(self, *words, deadline=120):
        return run([str(COMMAND), *words, "--state", str(self.state)], deadline, env=environment(JAVA_TOOL_OPTIONS=QUICK_JAVA))

    def must(self, *words, deadline=120):
        """Runs a subcommand of deploy/stack that has to work."""
        done = self._command(*words, deadline=deadline)
        assert done.code == 0, done
        return done

    def database_dsn(self, name):
        return extensions.make_dsn(self.dsn, dbname=name)

    def make_database(self, name, template="template0"):
        Database(self.database_dsn("postgres")).run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self.database_dsn(name))

    def drop_database(self, database):
        name = extensions.parse_dsn(database.dsn)["dbname"]
        Database(self.database_dsn("postgres")).run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def pid(self, server):
        return int((self.state / "pids" / f"{server}.pid").read_text().split()[0])

    def kill_broker(self, number=1):
        """SIGKILL, as a machine's power cut would."""
        os.kill(self.pid(f"kafka-{number}"), signal.SIGKILL)

    def start_broker(self, number=1):
        self.must("start-broker", str(number))

    def replace_kafka(self):
        """All brokers killed, their disks empty, and back at the same addresses as another cluster."""
        for number in range(1, self.brokers + 1):
            self.kill_broker(number)
            shutil.rmtree(self.state / f"kafka-{number}" / "data")
        made = json.loads((self.state / "stack.json").read_text())
        made["cluster_id"] = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "x")
        (self.state / "stack.json").write_text(json.dumps(made))
        self.must("start", "--brokers", str(self.brokers), deadline=300)
        self.admin = AdminClient(self.client)

    def topic_id(self, topic):
        """The 16 bytes of KIP-516, as the broker has written them down."""
        written = self.state / "kafka-1" / "data" / f"{topic}-0" / "partition.metadata"
        wait_until(written.exists, 30, f"the broker to make {topic}")
        return base64.urlsafe_b64decode(written.read_text().split("topic_id: ")[1].strip() + "==")

    def restart_postgres(self, mode="immediate"):
        """immediate: no checkpoint, every backend quits at once, the next start recovers from the WAL."""
        self.must("stop-postgres", "--mode", mode)
        self.must("start-postgres")
        wait_until(lambda: Database(self.dsn).value("SELECT 1"), 60, "Postgres to answer", despite=psycopg2.OperationalError)

    def is_running(self):
        return self._command("status").code == 0


def psql(dsn, *words, deadline=60):
    """Runs the distribution's psql against a database."""
    return run(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", dsn, *words], deadline, env=environment(PGTZ="UTC"))


@contextlib.contextmanager
def own_stack(**how):
    """A stack in a folder of its own, which is gone at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)  # the account that Postgres runs under must get through
    try:
        with Stack(folder / "stack", **how) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)
