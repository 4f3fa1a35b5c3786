"""Process: the servers and programs of one stack, known by record, never by name pattern.

`<state>/pids/NAME.pid` holds the pid alone, for scripts; `NAME.who` beside it says who that is: the boot, the
process's start time and its command line. A pid counts only while all three still agree, so that a record left
by a crash or a reboot is noticed whatever process has the number today. A zombie is not running: in a container
whose first process reaps nobody it would else be waited for in vain.

Between the start of a server and its record we can be killed; so before a start `find` looks for a process with
exactly that command line (it names this state directory), and it is taken over rather than started twice.

What the stack starts gets a session of its own and no terminal: an interrupt at the keyboard must not reach it.
"""

import json
import os
import signal
import subprocess
import time


def wait_until(condition, seconds, pause=0.05):
    """Whether condition() came true within the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True


def _read(path):
    try:
        with open(path, "rb") as source:
            return source.read()
    except OSError:
        return b""


def _boot():
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def _start_ticks(pid):
    """The process's start time in clock ticks since boot; None once it is gone or a zombie."""
    stat = _read("/proc/%d/stat" % pid)
    fields = stat[stat.rfind(b")") + 2:].split()    # the name in parentheses may hold anything
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def _command(pid):
    return [part.decode("utf-8", "surrogateescape") for part in _read("/proc/%d/cmdline" % pid).split(b"\0")[:-1]]


def is_alive(pid):
    return _start_ticks(pid) is not None


def working_directory(pid):
    """None when the process is gone, a zombie, or another user's."""
    try:
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        return None


def everyone():
    """The pids of all processes that we can see."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def find(argv):
    """The pid of a running process with exactly this command line, or None."""
    return next((pid for pid in everyone() if _command(pid) == argv and is_alive(pid)), None)


def _replace(path, text):
    scratch = "%s.%d" % (path, os.getpid())
    with open(scratch, "w") as out:
        out.write(text)
    os.replace(scratch, path)


class Records:
    """The records of one state directory."""

    def __init__(self, folder):
        self.folder = folder

    def _path(self, name, kind):
        return os.path.join(self.folder, "%s.%s" % (name, kind))

    def names(self):
        try:
            entries = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(entry[:-4] for entry in entries if entry.endswith(".pid"))

    def pid(self, name):
        """The recorded pid while it is still the process that was recorded, else None."""
        try:
            pid = int(_read(self._path(name, "pid")))
            who = json.loads(_read(self._path(name, "who")))
        except ValueError:
            return None
        start = _start_ticks(pid)
        if start is None or who.get("start") != start or who.get("boot") != _boot():
            return None
        return pid if who.get("command") == _command(pid) else None

    def runs(self, name, argv):
        """Whether the recorded process is alive and runs argv, from a program file that has not been replaced since."""
        pid = self.pid(name)
        if pid is None or _command(pid) != argv:
            return False
        try:
            return not os.readlink("/proc/%d/exe" % pid).endswith(" (deleted)")
        except OSError:
            return False

    def keep(self, name, pid):
        os.makedirs(self.folder, exist_ok=True)
        who = {"boot": _boot(), "start": _start_ticks(pid), "command": _command(pid)}
        _replace(self._path(name, "who"), json.dumps(who) + "\n")
        _replace(self._path(name, "pid"), "%d\n" % pid)

    def forget(self, name):
        for kind in ("pid", "who"):
            try:
                os.unlink(self._path(name, kind))
            except FileNotFoundError:
                pass

    def launch(self, name, argv, log, **options):
        """Start argv, its output appended to `log`, and record it. Returns its pid."""
        with open(log, "ab") as out:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True, **options)
        # Popen returns while the kernel is still at the exec; for a moment the command line is empty.
        wait_until(lambda: _command(child.pid) or child.poll() is not None, 10, 0.002)
        self.keep(name, child.pid)
        return child.pid

    def adopt(self, name, argv):
        """Record a process that runs argv although no record says so. Whether one was found."""
        pid = find(argv)
        if pid is not None:
            self.keep(name, pid)
        return pid is not None

    def stop(self, names, steps):
        """Send each (signal, seconds) of steps to those of names that still run; forget those that have ended.

        All at once, not one after the other: a quorum whose members leave in turn has no leader left for the last
        one's farewell. A frozen process (SIGSTOP) is woken after the signal, or it would never see it.
        """
        def running():
            return [name for name in names if self.pid(name) is not None]

        for sign, seconds in steps:
            for name in running():
                self._signal(name, sign)
            if wait_until(lambda: not running(), seconds):
                break
        for name in names:
            if self.pid(name) is None:
                self.forget(name)
        return not running()

    def _signal(self, name, sign):
        pid = self.pid(name)
        if pid is None:
            return
        try:
            os.kill(pid, sign)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass        # ended by itself in between


# What ends a process that ignored the polite signals, and how long even that may take.
LAST_RESORT = (signal.SIGKILL, 10)
