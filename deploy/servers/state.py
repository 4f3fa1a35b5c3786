"""State: the directory of one stack, `.stack/` of the checkout unless --state names another.

    stack.json      what was made here: brokers, cluster id, ports, where Postgres's data lies. Its presence is
                    what makes a directory ours
    settings.ini    how to reach the servers; every program takes it with --config
    secrets/        of a secured stack (authority.py)   kcat.conf   for kcat -F, likewise
    pids/           who runs (process.py)     logs/   what they say
    kafka-N/        a broker's data           postgres/   Postgres's data, or a link to it

Removing deletes these names and nothing else, and only where stack.json says that the directory is ours: the
tempting `rm -rf "$state"` would one day be given a home directory.
"""

import contextlib
import fcntl
import json
import os
import shutil
import threading

import ports
from process import Records
from trouble import Trouble

VERSION = 1


class State:
    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.records = Records(self.path("pids"))
        self.made = None        # the content of stack.json, None before the first start
        self._mutex = threading.RLock()
        self._load()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def log(self, name):
        return self.path("logs", name + ".log")

    @property
    def settings(self):
        return self.path("settings.ini")

    def _load(self):
        try:
            with open(self.path("stack.json")) as source:
                self.made = json.load(source)
        except (FileNotFoundError, NotADirectoryError):
            return
        except ValueError:
            raise Trouble("%s is damaged; `deploy/stack reset --state %s` deletes this stack and its data"
                          % (self.path("stack.json"), self.folder)) from None
        if self.made.get("version") != VERSION:
            raise Trouble("%s was made by another release of deploy/stack; remove that directory by hand"
                          % self.folder)

    def create(self, made):
        for folder in (self.folder, self.path("logs"), self.path("pids")):
            os.makedirs(folder, exist_ok=True)
        self.made = {"version": VERSION, "ports": {}}
        self.note(**made)

    def note(self, **facts):
        """Remember facts in stack.json. Kafka's thread and Postgres's both do."""
        with self._mutex:
            self.made.update(facts)
            self._write("stack.json", json.dumps(self.made, indent=2) + "\n")

    def choose_port(self, name, anew=False):
        """Give the listener `name` a port; the one from an earlier start is kept while it is free, unless `anew`."""
        with self._mutex:
            ports_now = dict(self.made["ports"])
            if anew or name not in ports_now or not ports.is_free(ports_now[name]):
                ports_now[name] = ports.pick(ports_now.values())
                self.note(ports=ports_now)

    def write_settings(self, kafka, dsn):
        lines = "".join("%s = %s\n" % pair for pair in kafka.items())
        self._write("settings.ini", "[kafka]\n%s\n[postgres]\ndsn = %s\n" % (lines, dsn))

    def write_kcat(self, properties):
        """For `kcat -F`, and whoever else speaks librdkafka: as the superuser over the mTLS listener."""
        self._write("kcat.conf", "".join("%s=%s\n" % pair for pair in properties.items()))

    def _write(self, name, text):
        scratch = self.path("%s.%d" % (name, os.getpid()))
        with open(scratch, "w") as out:
            out.write(text)
        os.replace(scratch, self.path(name))

    @contextlib.contextmanager
    def locked(self):
        """One command at a time works on a state directory; the next one waits."""
        os.makedirs(self.folder, exist_ok=True)
        with open(self.path("lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._load()
            yield

    def remove(self):
        """Delete what the stack keeps here. The servers must be stopped."""
        if self.made is not None:
            data = os.path.realpath(self.path("postgres"))
            for name in ["logs", "pids", "secrets", "archive"] + ["kafka-%d" % n for n in range(1, self.made["brokers"] + 1)]:
                shutil.rmtree(self.path(name), ignore_errors=True)
            if os.path.islink(self.path("postgres")):
                if data == self.made.get("postgres_data"):
                    shutil.rmtree(os.path.dirname(data), ignore_errors=True)
                os.unlink(self.path("postgres"))
            else:
                shutil.rmtree(data, ignore_errors=True)
            for name in ("settings.ini", "kcat.conf", "stack.json"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path(name))
        with contextlib.suppress(OSError):
            os.unlink(self.path("lock"))
            os.rmdir(self.folder)
        self.made = None
