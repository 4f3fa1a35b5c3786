"""Need: the programs that a stack stands on, found on this machine, or what is missing and how to install it.

Looked for where distributions put them, no version manager asked: Java by JAVA_HOME, then PATH; Postgres in
TALLYMILL_POSTGRES_BIN (a directory that holds postgres, initdb and psql), else as the newest under /usr/lib/postgresql (Debian's servers are not on the PATH), then beside a `postgres` on the PATH.
The one list of packages is in deploy/packages, which also words the command that installs them.
"""

import glob
import os
import pwd
import re
import shutil
import subprocess

from jars import DEPLOY, Jars
from trouble import Trouble

JAVA_OLDEST = 17
POSTGRES_OLDEST = 15


class Java:
    def __init__(self, path):
        self.path = path
        self.runtime = self._runtime()

    def _runtime(self):
        """The full version; read from the runtime's own `release` file, for starting a JVM to ask takes 0.1 s."""
        home = os.path.dirname(os.path.dirname(os.path.realpath(self.path)))
        try:
            with open(os.path.join(home, "release")) as release:
                text = release.read()
        except OSError:
            done = subprocess.run([self.path, "-version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60, check=False)
            text = done.stdout.decode("utf-8", "replace")
        found = (re.search(r'JAVA_RUNTIME_VERSION="([^"]+)"', text) or re.search(r'JAVA_VERSION="([^"]+)"', text)
                 or re.search(r'version "([^"]+)"', text))
        return found.group(1) if found else ""

    @property
    def major(self):
        number = re.match(r"(?:1\.)?(\d+)", self.runtime)
        return int(number.group(1)) if number else 0


class Need:
    """java, postgres_bin and user: what was found. Raises Trouble (exit code 2) naming all that was not."""

    def __init__(self, postgres_major=None):
        self.lacks = []
        self.java = self._find_java()
        self.postgres_major, self.postgres_bin = self._find_postgres(postgres_major)
        if not Jars.are_cached() and shutil.which("mvn") is None:
            self.lacks.append("maven (fetches Kafka's jars, once)")
        self.user = self._find_user()
        if self.lacks:
            raise Trouble("missing: " + ", ".join(self.lacks) + self._remedy(), 2)

    def _find_java(self):
        home = os.environ.get("JAVA_HOME")
        path = os.path.join(home, "bin", "java") if home else ""
        if not os.access(path, os.X_OK):
            path = shutil.which("java")
        if path is None:
            self.lacks.append("java (%d or newer)" % JAVA_OLDEST)
            return None
        java = Java(path)
        if java.major < JAVA_OLDEST:
            self.lacks.append("java %d or newer (%s is %s)" % (JAVA_OLDEST, path, java.runtime or "of unknown version"))
        return java

    def _find_postgres(self, wanted):
        """The major version and the directory of its programs: of `wanted`, or of the newest there is."""
        found = {}
        named = os.environ.get("TALLYMILL_POSTGRES_BIN")
        if named:
            self._note_server(found, os.path.join(named, "postgres"))
            return self._choose_server(found, wanted, named)
        for server in glob.glob("/usr/lib/postgresql/*/bin/postgres"):
            major = server.split("/")[4]
            if major.isdigit():
                found[int(major)] = os.path.dirname(server)
        on_path = shutil.which("postgres")
        if on_path:
            self._note_server(found, on_path)
        return self._choose_server(found, wanted, "")

    @staticmethod
    def _note_server(found, path):
        """Asks a server's program for its version."""
        if not os.access(path, os.X_OK):
            return
        done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, timeout=60, check=False)
        number = re.search(rb"\) (\d+)", done.stdout)
        if number:
            found.setdefault(int(number.group(1)), os.path.dirname(os.path.realpath(path)))

    def _choose_server(self, found, wanted, named):
        if named and not found:
            self.lacks.append("a Postgres server in TALLYMILL_POSTGRES_BIN=%s" % named)
            return None, None
        if wanted is not None:
            if wanted not in found:
                self.lacks.append("postgresql %d (this stack's data was made by it; `deploy/stack reset` starts anew)"
                                  % wanted)
            return wanted, found.get(wanted)
        if not found or max(found) < POSTGRES_OLDEST:
            self.lacks.append("postgresql (%d or newer, the server)" % POSTGRES_OLDEST)
            return None, None
        return max(found), found[max(found)]

    def _find_user(self):
        """The user that Postgres must run as: None for ourselves; root it refuses."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam("postgres")
        except KeyError:
            if self.postgres_bin is not None:
                self.lacks.append("a user `postgres` (Postgres does not run as root)")
            return None

    @staticmethod
    def _remedy():
        done = subprocess.run([os.path.join(DEPLOY, "packages"), "command", "stack"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=60, check=False)
        command = done.stdout.decode().strip()
        return "\ninstall with: " + command if command else ""
