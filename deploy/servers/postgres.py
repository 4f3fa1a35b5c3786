"""Postgres: the private database server.

Its defaults are left alone where they decide what a commit means (fsync, synchronous_commit, full_page_writes):
the tests kill it and must find what was acknowledged. It listens on the loopback address only, without sockets
in the file system (whose paths may be at most 107 bytes, and state directories lie deep), in UTC, and trusts
whoever reaches it. Trust is for a private stack on a machine of one's own: any local user can connect. A secured
one (`--secure`) lets in who comes over TLS and knows the password (scram-sha-256).

The superuser is called postgres and not tallymill: with that name "$user" of the default search_path would be
the schema `tallymill`, and every unqualified name would mean something else here than in production.

Root cannot run Postgres: then it runs as the user postgres, its data below that user's home wherever it could not
reach the state directory (a checkout in /root, a test's own directory with mode 0700), and `<state>/postgres` is a
link to it.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess

from authority import Secrets
from process import LAST_RESORT, everyone, is_alive, wait_until, working_directory
from trouble import PortLost, Trouble, tail

NAME = "postgres"
DATABASE = "tallymill"
PORT_TRIES = 5
READY_SECONDS = 120
BACKENDS_LEAVE_SECONDS = 60

SETTINGS = """# Written by deploy/stack at each start; put your own settings into postgresql.auto.conf (ALTER SYSTEM).
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
max_connections = 200
# By itself it would be 4 MB: then the COPY of one worker waits while the COMMIT of another is synced.
wal_buffers = 64MB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%%m [%%p] %%q%%u %%a '
log_lock_waits = on
cluster_name = 'tallymill'
"""

# The files lie beside it in the data directory, as Postgres has them by default.
SECURE_SETTINGS = """ssl = on
ssl_ca_file = 'root.crt'
password_encryption = 'scram-sha-256'
"""
SECURE_RULES = """# Written by deploy/stack at each start.
hostssl all all 127.0.0.1/32 scram-sha-256
"""

# How each mode of `stop-postgres` ends it. Immediate is a crash as far as the data is concerned; SIGKILL to the
# postmaster alone comes last, for it leaves a shared memory segment behind.
MODES = {
    "smart": [(signal.SIGTERM, 30), (signal.SIGINT, 30), (signal.SIGQUIT, 15), LAST_RESORT],
    "fast": [(signal.SIGINT, 30), (signal.SIGQUIT, 15), LAST_RESORT],
    "immediate": [(signal.SIGQUIT, 15), LAST_RESORT],
    "kill": [LAST_RESORT],
}


def environment_without_postgres():
    """The caller's environment without its PG* variables, which are about another server."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}


class Postgres:
    def __init__(self, state, need=None):
        self.state = state
        self.bin = need.postgres_bin if need else None
        self.user = need.user if need else None
        self.data = state.path("postgres")
        self._log_start = 0     # where in the log the latest start begins

    @property
    def port(self):
        return self.state.made["ports"][NAME]

    @property
    def is_secure(self):
        return self.state.made.get("secure", False)

    @property
    def dsn(self):
        return self._dsn(DATABASE)

    def _dsn(self, database):
        """The password stays in its file, so that the line can be shown and logged."""
        kept = Secrets(self.state)
        more = " sslmode=verify-full sslrootcert=%s passfile=%s" % (quoted(kept.path("ca.pem")), quoted(kept.path("pgpass")))
        return "host=127.0.0.1 port=%d user=postgres dbname=%s%s" % (self.port, database, more if self.is_secure else "")

    def _identity(self):
        """How a child becomes the user that Postgres runs as."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [self.user.pw_gid]}

    def _environment(self):
        kept = dict(environment_without_postgres(), LC_ALL="C.UTF-8")      # the caller's locale must not decide ours
        if self.user is not None:
            kept["HOME"] = self.user.pw_dir
        return kept

    def _run(self, program, *arguments, seconds=120, text="", identity=None):
        pipe = ["/bin/sh", "-c", 'cat | "$0" "$@"'] if text else []
        return subprocess.run(pipe + [os.path.join(self.bin, program)] + list(arguments), input=text.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", timeout=seconds,
                              env=self._environment(), check=False, **(self._identity() if identity is None else identity))

    def _sh(self, script, *arguments, text=""):
        """Run a line of shell as the server's user: in directories that belong to it, root touches nothing itself
        (a planted link there would be followed with root's rights)."""
        done = subprocess.run(["/bin/sh", "-c", script, "sh"] + list(arguments), input=text.encode(), cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
                              **self._identity())
        return done.returncode == 0

    def _place(self):
        """Choose the directory for the data: in the state directory, or where its user can reach it; and empty it."""
        if self._sh('cd "$1"', self.state.folder):      # asked by trying: modes, groups and ACLs all have their say
            folder = self.data
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder, mode=0o700)
            if self.user is not None:
                os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        else:
            base = os.path.join(self.user.pw_dir, "tallymill")
            sweep(base)
            home = os.path.join(base, hashlib.sha256(self.state.folder.encode()).hexdigest()[:16])
            folder = os.path.join(home, "data")
            shutil.rmtree(home, ignore_errors=True)
            if not self._sh('mkdir -p "$1/data" && chmod 700 "$1/data" && cat >"$1/state"', home,
                            text=self.state.folder + "\n"):
                raise Trouble("the user %s can reach neither %s nor %s" % (self.user.pw_name, self.state.folder, home))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.data)
            os.symlink(folder, self.data)
        self.state.note(postgres_data=os.path.realpath(folder))

    def prepare(self):
        """Make the database cluster unless it exists. A half-made one (killed in initdb) is made anew."""
        if self.state.made.get("postgres_ready"):
            return
        self._place()
        # Not flushed to disk file by file (0.5 s less): the data begins to matter with the first start.
        how = ["-A", "scram-sha-256", "--pwfile=/dev/stdin"] if self.is_secure else ["-A", "trust"]
        password = Secrets(self.state).postgres_password + "\n" if self.is_secure else ""
        # Through a pipe of its own user's: ours it may not open by name.
        done = self._run("initdb", "-D", self.state.made["postgres_data"], "-U", "postgres", *how,
                         "-E", "UTF8", "--locale=C.UTF-8", "-N", seconds=300, text=password)
        if done.returncode != 0:
            raise Trouble("initdb failed:\n" + done.stdout.decode("utf-8", "replace"))

    def command(self):
        return [os.path.join(self.bin, "postgres"), "-D", self.state.made["postgres_data"]]

    def is_running(self):
        return self.state.records.pid(NAME) is not None

    def _ask(self, sql, database="postgres"):
        """The text that sql gives through psql, None when the server does not answer."""
        dsn = self._dsn(database) + " connect_timeout=5"
        ourselves = {} if self.is_secure else None      # the password is ours to read, not the server's
        done = self._run("psql", "-XAtq", "-d", dsn, "-c", sql, seconds=30, identity=ourselves)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def answers(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._ask("SELECT 1") == "1"
        return False

    def start(self):
        """Start the server unless it runs; return once it answers and has its database."""
        for attempt in range(1, PORT_TRIES + 1):
            try:
                if not self.is_running():
                    self._launch(anew=attempt > 1)
                break
            except PortLost:
                self.state.records.forget(NAME)
                if attempt == PORT_TRIES:
                    raise
        if not self.state.made.get("postgres_ready"):
            if self._ask("SELECT 1 FROM pg_database WHERE datname = '%s'" % DATABASE) != "1":
                self._ask("CREATE DATABASE %s" % DATABASE)
            if self._ask("SELECT 1", DATABASE) != "1":
                raise Trouble("Postgres runs, but database %s could not be made; see %s"
                              % (DATABASE, self.state.log(NAME)))
            self.state.note(postgres_ready=True)

    def _launch(self, anew):
        self.state.choose_port(NAME, anew)
        more = SECURE_SETTINGS if self.is_secure else ""
        self._write("postgresql.conf", SETTINGS % self.port + more)
        if self.is_secure:
            self.install_certificates()
        self._log_start = self._log_size()
        if not self.state.records.adopt(NAME, self.command()):
            self._settle_lock()
            wait_until(self._launch_or_must_wait, READY_SECONDS, 0.5)
        self._await_answer()

    def _write(self, name, text):
        path = os.path.join(self.state.made["postgres_data"], name)
        if not self._sh('umask 077 && cat >"$1.new" && mv "$1.new" "$1"', path, text=text):
            raise Trouble("cannot write " + path)

    def install_certificates(self):
        """Put key, certificates and rules where the server reads them: at its start, and when it is told to reload."""
        kept = Secrets(self.state)
        for name, source in (("server.key", "postgres.key"), ("server.crt", "postgres.crt"), ("root.crt", "ca.pem")):
            self._write(name, kept.read(source) + "\n")
        self._write("pg_hba.conf", SECURE_RULES)

    def _log_size(self):
        log = self.state.log(NAME)
        return os.path.getsize(log) if os.path.exists(log) else 0

    def _launch_or_must_wait(self):
        """Launch the server; False when that has to be tried again.

        After a kill -9 of the postmaster its backends hold the shared memory until they have noticed and left,
        and as long as they do a new one refuses to start.
        """
        self._log_start = self._log_size()
        self.state.records.launch(NAME, self.command(), self.state.log(NAME), cwd="/", env=self._environment(),
                                  **self._identity())
        wait_until(lambda: not self.is_running() or self.answers(), READY_SECONDS)
        return self.is_running() or "still in use" not in tail(self.state.log(NAME), start=self._log_start)

    def _await_answer(self):
        wait_until(lambda: not self.is_running() or self.answers(), READY_SECONDS)
        if self.is_running() and self.answers():
            return
        end = tail(self.state.log(NAME), start=self._log_start)
        if not self.is_running() and "Address already in use" in end:
            raise PortLost("Postgres lost its port %d to another program" % self.port)
        why = "does not answer" if self.is_running() else "ended while starting"
        raise Trouble("Postgres %s; the end of %s:\n%s" % (why, self.state.log(NAME), end))

    def _settle_lock(self):
        """Make way past a postmaster.pid that names no server of this directory.

        Postgres copes with a pid that is gone, but takes any process of that number for a server: a killed
        postmaster that its parent has not reaped, or after a reboot whoever has the number now. The file may go
        only once no server process is left, for with it goes the guard against starting beside the backends of a
        killed postmaster. They have the data directory as their working directory; so we wait for them here.
        """
        data = self.state.made["postgres_data"]
        path = os.path.join(data, "postmaster.pid")
        try:
            with open(path) as source:
                pid = int(source.readline())
        except (OSError, ValueError):
            return
        if not os.path.exists("/proc/%d" % pid) or (is_alive(pid) and working_directory(pid) == data):
            return
        if not wait_until(lambda: data not in map(working_directory, everyone()), BACKENDS_LEAVE_SECONDS, 0.2):
            raise Trouble("server processes of a killed Postgres are still at work in %s" % data)
        os.unlink(path)

    def stop(self, mode="fast"):
        return self.state.records.stop([NAME], MODES[mode])


def quoted(value):
    """A value of a connection string; plain where it may stand plain."""
    if value and not set(value) & set(" '\\\t\n"):
        return value
    return "'%s'" % value.replace("\\", "\\\\").replace("'", "\\'")


def sweep(base):
    """Remove data below base whose state directory is gone (a test's directory deleted without `reset`).

    A server that still runs there ends by itself: it looks for its lock file once a minute.
    """
    try:
        entries = os.listdir(base)
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            with open(os.path.join(base, entry, "state")) as source:
                owner = source.read().strip()
        except OSError:
            continue
        if not os.path.exists(owner):
            shutil.rmtree(os.path.join(base, entry), ignore_errors=True)
