"""Jars: Apache Kafka's published jars in the user's cache, fetched once.

`${XDG_CACHE_HOME:-~/.cache}/tallymill/kafka-VERSION/` holds

    libs/           what deploy/kafka/pom.xml resolves to
    formatted/      what Kafka's own storage tool writes into an empty data directory
    *.jsa           a class archive of a started broker, one per Java runtime, made by `deploy/stack fetch`: with
                    it a broker is ready in half the time

The directory appears whole by one rename, after its `complete` mark was written: whoever sees it can use it,
whoever was killed while filling leaves only a `.partial` directory that the next one sweeps away. A lock lets
two stacks that start at once fetch once.

`formatted/` is copied for each broker, with its own ids (kafka.py). Running the tool each time is the documented
way and costs a second of a JVM per broker for the same 355 bytes; the version is pinned, so they cannot drift.
The archive is only an aid, worth its ten seconds to a test run that starts many brokers: where there is none, or
it was made by another Java, brokers start without it.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile

from trouble import Trouble, tail

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.dirname(HERE)
POM = os.path.join(DEPLOY, "kafka", "pom.xml")
LOGGING = os.path.join(DEPLOY, "kafka", "log4j2.properties")
FETCH_TRIES = 3
FETCH_SECONDS = 900


def version():
    with open(POM) as pom:
        return re.search(r"<kafka.version>([^<]+)</kafka.version>", pom.read()).group(1)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "tallymill", "kafka-" + version())


class Jars:
    """The cache of this POM's version, ready for use once `fetch` returned."""

    def __init__(self, java, say):
        self.java = java
        self.say = say
        self.folder = cache_folder()

    @staticmethod
    def are_cached():
        return os.path.exists(os.path.join(cache_folder(), "complete"))

    @property
    def formatted(self):
        return os.path.join(self.folder, "formatted")

    @property
    def _archive(self):
        return os.path.join(self.folder, "broker-%s.jsa" % re.sub(r"[^0-9A-Za-z.+]", "_", self.java.runtime))

    def classpath(self):
        # Spelled out and sorted: the class archive is only valid for the very same text.
        libs = os.path.join(self.folder, "libs")
        return ":".join(os.path.join(libs, jar) for jar in sorted(os.listdir(libs)))

    def command(self, options, main, *arguments):
        """The argv that runs a main class of Kafka."""
        archive = ["-XX:SharedArchiveFile=" + self._archive] if os.path.exists(self._archive) else []
        return ([self.java.path] + archive + options +
                ["-Dlog4j2.configurationFile=" + LOGGING, "-cp", self.classpath(), main] + list(arguments))

    def fetch(self):
        """Make the cache complete; returns at once when it is. Raises Trouble."""
        if self.are_cached():
            return
        parent = os.path.dirname(self.folder)
        try:
            os.makedirs(parent, exist_ok=True)
            lock = open(os.path.join(parent, "lock"), "w")
        except OSError as error:
            raise Trouble("cannot use the cache directory %s: %s; name another with XDG_CACHE_HOME"
                          % (parent, error.strerror), 2) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.are_cached():
                self._fill(parent)

    def _fill(self, parent):
        for left_over in os.listdir(parent):
            if left_over.endswith(".partial"):
                shutil.rmtree(os.path.join(parent, left_over), ignore_errors=True)
        scratch = tempfile.mkdtemp(prefix="kafka-", suffix=".partial", dir=parent)
        os.chmod(scratch, 0o755)
        try:
            self.say("fetching Apache Kafka %s (44 MB, once; kept in %s)" % (version(), self.folder))
            self._resolve(os.path.join(scratch, "libs"), os.path.join(parent, "maven.log"))
            self._format(scratch)
            with open(os.path.join(scratch, "complete"), "w") as mark:
                mark.write(version() + "\n")
            shutil.rmtree(self.folder, ignore_errors=True)      # one without its mark is no cache
            os.rename(scratch, self.folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    @staticmethod
    def _resolve(libs, log):
        for attempt in range(1, FETCH_TRIES + 1):
            with open(log, "wb") as out, contextlib.suppress(subprocess.TimeoutExpired):
                done = subprocess.run(
                    ["mvn", "-B", "-ntp", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime",
                     "-DoutputDirectory=" + libs],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=FETCH_SECONDS, check=False)
                if done.returncode == 0 and os.path.isdir(libs):
                    return
        raise Trouble("Maven could not fetch Kafka's jars in %d tries; the end of %s:\n%s"
                      % (FETCH_TRIES, log, tail(log)))

    def _format(self, scratch):
        """Let the storage tool format a directory whose result is then the pattern for all brokers."""
        config = os.path.join(scratch, "format.properties")
        with open(config, "w") as out:
            out.write("process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
                      "listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\n"
                      "controller.listener.names=CONTROLLER\nlog.dirs=formatted\n")
        done = subprocess.run(
            [self.java.path, "-cp", "libs/*", "kafka.tools.StorageTool", "format",
             "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", config],
            cwd=scratch, env=dict(os.environ, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        os.unlink(config)
        if done.returncode != 0:
            raise Trouble("Kafka's storage tool failed:\n" + done.stdout.decode("utf-8", "replace"))

    def archive(self, run):
        """Make the class archive, unless there is one: run(options) starts a broker with them and stops it again."""
        if os.path.exists(self._archive):
            return
        scratch = "%s.%d" % (self._archive, os.getpid())
        try:
            run(["-XX:ArchiveClassesAtExit=" + scratch, "-Xlog:cds=off", "-Xlog:cds+dynamic=off"])
            os.replace(scratch, self._archive)
        except FileNotFoundError:
            self.say("this Java makes no class archive; brokers will start without one")
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(scratch)
