"""A Postgres of a test's own beside the stack's: to fail over, run out of room or connections, change its clock or its passwords.

The same programs as the stack's server, run by the same account, on a free port of the loopback interface. `with_postgres()`
gives a stack whose Kafka is the shared one and whose Postgres is this one, for a site to be made on.

fsync is off: it protects from a machine's crash, which no test makes, and what a killed server wrote is in the kernel's hands.
"""

import copy
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import psycopg2
from psycopg2 import extensions

from .database import Database
from .program import environment, with_parent
from .waiting import wait_until

PORT_TRIES = 5
START_SECONDS = 60
STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}
IS_AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _copy_if_there(source, target):
    """A live server drops files while they are copied; what they held comes from the WAL."""
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        return target


class PostgresServer:
    """Made with `with`: initdb and start on entry, gone with its data on exit. `settings` are what `postgres -c` takes; `wal` is
    another directory for the WAL, in files of 1 MiB, below one that belongs to `owner`; `env` are variables of the server's processes."""

    def __init__(self, stack, wal=None, env=None, **settings):
        self.stack = stack
        pid = stack.pid("postgres")
        self.bin = pathlib.Path(os.readlink(f"/proc/{pid}/exe")).parent
        self.owner, self.group = os.stat(f"/proc/{pid}").st_uid, os.stat(f"/proc/{pid}").st_gid
        self.wal = wal
        self.env = env or {}
        self.settings = settings
        self.port = free_port()
        self.process = None
        self.folder = self.data = None

    # ---- life

    def __enter__(self):
        self._make_folder()
        made = self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N",
                        *(["--waldir", self.wal, "--wal-segsize", "1"] if self.wal else []))
        assert made.returncode == 0, made.stdout
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.stop("kill")
        wait_until(lambda: not self._processes(), 60, "the server's processes to be gone")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_folder(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-postgres-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
        os.chown(self.folder, self.owner, self.group)
        self.data = self.folder / "data"

    def _identity(self):
        return {} if self.owner == os.geteuid() else {"user": self.owner, "group": self.group, "extra_groups": []}

    def run(self, program, *words, seconds=120):
        """One of Postgres's own programs, by the server's account."""
        return subprocess.run([self.bin / program, *map(str, words)], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False, **self._identity())

    def start(self):
        """Starts the server and returns once it answers (a standby: once it can be read)."""
        for attempt in range(PORT_TRIES):
            if self.launch():
                return self
            assert "Address already in use" in self.log() and attempt + 1 < PORT_TRIES, self.log()[-3000:]
            self.port = free_port()
        return self

    def launch(self):
        """One try to start it: whether it answers; False when it has ended by itself."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC",
                   "lc_messages": "C", "shared_buffers": "32MB", "fsync": "off", "jit": "off", **self.settings}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:  # QUIT: the postmaster takes its backends along
            self.process = subprocess.Popen(with_parent([self.bin / "postgres", "-D", self.data, *words], "QUIT"), cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment(**self.env), **self._identity())
        wait_until(lambda: self.has_ended() or self.answers(), START_SECONDS, lambda: f"Postgres to start; its log ends:\n{self.log()[-3000:]}")
        return not self.has_ended()

    def stop(self, mode="fast"):
        """fast, immediate or kill (SIGKILL to the postmaster alone; its backends notice)."""
        if self.process and not self.has_ended():
            self.process.send_signal(STOPS[mode])
            self.process.wait(60)

    def has_ended(self):
        return self.process.poll() is not None

    def answers(self):
        try:
            return Database(self.dsn).value("SELECT 1") == 1
        except IS_AWAY:
            return False

    def _processes(self):
        """Those that work in the data directory: a killed postmaster's backends hold its shared memory for a moment."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.data):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def restart(self, mode="immediate"):
        self.stop(mode)
        wait_until(lambda: not self._processes(), 60, "the server's processes to be gone")
        return self.start()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    # ---- use

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def database(self, dbname="postgres"):
        return Database(extensions.make_dsn(self.dsn, dbname=dbname))

    def value(self, statement, *parameters):
        return Database(self.dsn).value(statement, *parameters)

    def write(self, name, text, mode=0o600):
        """A file of the server's in its data directory."""
        path = self.data / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.owner, self.group)
        return path

    def reload(self):
        self.value("SELECT pg_reload_conf()")

    # ---- a pair

    def make_standby(self, port=None):
        """A streaming standby of this server, running; on `port` where a dead server's place in a list of hosts is to be taken."""
        standby = PostgresServer(self.stack, env=self.env, **self.settings)
        standby.port = port or standby.port
        standby._make_folder()
        self._copy_to(standby)
        try:
            assert standby.launch(), standby.log()[-3000:]
        except BaseException:
            standby.__exit__()
            raise
        return standby

    def _copy_to(self, standby):
        """A base backup by the functions of SQL: pg_basebackup is not there for every version that the tests run on."""
        with Database(self.dsn).session() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_backup_start('standby', true)")
            shutil.copytree(self.data, standby.data, symlinks=True, ignore=shutil.ignore_patterns("postmaster.pid", "postmaster.opts", "pg_internal.init"),
                            copy_function=_copy_if_there)
            cursor.execute("SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)")
            (label,) = cursor.fetchone()
        for folder, folders, files in os.walk(standby.data):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(folder, name), self.owner, self.group, follow_symlinks=False)
        standby.write("backup_label", label)
        standby.write("standby.signal", "")
        with open(standby.data / "postgresql.auto.conf", "a") as conf:
            conf.write(f"\nprimary_conninfo = '{self.dsn}'\n")
        # What was written while the files were copied, up to the end of the backup: the rest is streamed.
        for path in (self.data / "pg_wal").iterdir():
            if path.is_file():
                _copy_if_there(path, standby.data / "pg_wal" / path.name)
                os.chown(standby.data / "pg_wal" / path.name, self.owner, self.group)

    def stop_following(self):
        """The standby receives nothing more: from now on it lags. (Replay that is only paused catches up when it is promoted.)"""
        with Database(self.dsn).session() as connection, connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET primary_conninfo = ''")
            cursor.execute("SELECT pg_reload_conf()")
        wait_until(lambda: not self.value("SELECT count(*) FROM pg_stat_wal_receiver"), 30, "the standby to stop following")

    def promote(self):
        assert self.value("SELECT pg_promote()"), self.log()[-3000:]


def with_postgres(stack, dsn):
    """The stack with another Postgres: what a site is made on. Its commands for the stack's own server are not for this one."""
    other = copy.copy(stack)
    other.dsn = dsn
    other.templates = None  # those are on the stack's own
    return other


def hosts(*servers):
    """A connection string that finds whichever of the servers takes writes."""
    return (f"host={','.join('127.0.0.1' for _ in servers)} port={','.join(str(server.port) for server in servers)}"
            " target_session_attrs=read-write user=postgres dbname=postgres")
