"""A stack of the bench's own, and programs run against it."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Servers:
    """Kafka and Postgres of deploy/stack in a directory of their own."""

    def __init__(self, state):
        self.state = pathlib.Path(state)
        self.settings = self.state / "settings.ini"
        values = dict(line.split(" = ", 1) for line in self.settings.read_text().splitlines() if " = " in line)
        self.dsn = values["dsn"]
        self.bootstrap = values["bootstrap.servers"]
        self.postmaster = self._pid("postgres")
        self.broker = self._pid("kafka-1")

    def _pid(self, name):
        return int((self.state / "pids" / f"{name}.pid").read_text().split()[0])

    def tune(self, settings):
        """Starts Postgres again with these ("name=value") beside what the stack sets."""
        for setting in settings:
            name, value = setting.split("=", 1)
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        for action in ("stop-postgres", "start-postgres"):
            subprocess.run([ROOT / "deploy/stack", action, "--state", self.state], check=True, stdout=subprocess.DEVNULL)
        self.postmaster = self._pid("postgres")

    def told(self):
        """What of Postgres's settings bears on speed, as "name=value ...", and whether there are huge pages for it."""
        names = "('fsync', 'full_page_writes', 'synchronous_commit', 'wal_buffers', 'shared_buffers', 'huge_pages', 'max_wal_size', 'checkpoint_timeout')"
        told = self.sql(f"SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) FROM pg_settings WHERE name IN {names}", fetch=True)[0][0]
        reserved = re.search(r"HugePages_Total: +(\d+)", pathlib.Path("/proc/meminfo").read_text())
        return f"{told} vm.nr_hugepages={reserved[1] if reserved else 0}"

    def sql(self, statement, fetch=False):
        """Runs a statement outside a transaction; with fetch, all its rows."""
        with contextlib.closing(psycopg2.connect(self.dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if fetch else None

    def program(self, name, *words, build="build"):
        """Starts a program of ours with this stack's settings."""
        return subprocess.Popen([ROOT / build / "bin" / name, "--config", self.settings, *words])


@contextlib.contextmanager
def stack(environment=None):
    """Starts a stack, its servers with these variables too, and removes it at the end whatever happens."""
    with tempfile.TemporaryDirectory(prefix="tallymill-bench-") as folder:
        os.chmod(folder, 0o755)
        state = os.path.join(folder, "stack")
        command = [ROOT / "deploy/stack"]
        subprocess.run([*command, "start", "--state", state], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
        try:
            yield Servers(state)
        finally:
            subprocess.run([*command, "reset", "--state", state], check=False, stdout=subprocess.DEVNULL)
