"""The programs under test as a person would run them: started, stopped, killed, frozen, and read.

Everything a program writes goes to a file, so that no pipe can fill up and stall it, and the file is there
when a test fails.  Each child dies with the test run (PR_SET_PDEATHSIG): a killed pytest leaves no worker
behind that would go on writing into the next run's database.
"""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess

from .waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILDS = {  # build, build-asan and build-check of the checkout, unless the environment says where
    name: pathlib.Path(os.environ.get(f"TALLYMILL_BUILD_{name.upper()}", ROOT / folder))
    for name, folder in (("release", "build"), ("asan", "build-asan"), ("check", "build-check"))
}
SANITIZED = {"ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
             "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99"}
# What a process may hold; the thread sanitizer keeps notes of several bytes on each of ours.
MEMORY_BYTES = (64 << 20) * (4 if "TSAN_OPTIONS" in os.environ else 1)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def binary(name, build="release", bug=None):
    """The path of a program in one of the builds, or of its copy with a planted bug; fails the test when it was not built."""
    path = BUILDS[build] / (f"planted/{bug}" if bug else "bin") / name
    assert path.exists(), f"{path} is not built"
    return str(path)


def environment(failpoint=None, **more):
    """The test's environment without settings of the person who runs it (PG*, TALLYMILL_*)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "TALLYMILL_"))}
    kept.update(SANITIZED)
    if failpoint:
        kept["TALLYMILL_FAILPOINT"] = failpoint
    kept.update(more)
    return kept


SETPRIV = shutil.which("setpriv")  # also for a command that is given another PATH


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def with_parent(command, sign="KILL"):
    """The command, which is sent that signal when we end. By a program: a child that preexec_fn makes of a process with threads may
    wait for one of Python's own locks for ever (3.11), and its parent for it."""
    return [SETPRIV, "--pdeathsig", sign, "--", *command]


class Finished:
    """How a program that was run to its end ended."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def run(command, deadline=60, stdin=b"", env=None):
    """Runs a command to its end within the deadline, stdin given as bytes."""
    process = subprocess.run(with_parent(command), input=stdin, capture_output=True, timeout=deadline, check=False,
                             env=env or environment())
    return Finished(process.returncode, process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace"))


def thread_sanitized(target):
    """Builds a target under the thread sanitizer; the folder of that build."""
    build = ROOT / "build-tsan"
    for command in (["cmake", "--preset", "tsan", "-DTALLYMILL_TESTS=OFF", "-DCMAKE_C_COMPILER=clang"],
                    ["cmake", "--build", str(build), "--target", target]):
        done = run(["env", "-C", str(ROOT), *command], 600)
        assert done.code == 0, done
    return build


class Program:
    """A program that runs beside the test; stdout and stderr go to `log_path`."""

    def __init__(self, command, log_path, env=None, stdin=subprocess.DEVNULL):
        self.command = command
        self.log_path = pathlib.Path(log_path)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(with_parent(command), stdin=stdin, stdout=log, stderr=log, env=env or environment())
        self.pid = self.process.pid
        self.code = None
        self.peak_kib = 0  # the most memory that it had when it was last looked at (what wait4 says begins with ours)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def is_running(self):
        if self.code is None:
            peak = re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
            self.peak_kib = int(peak[1]) if peak else self.peak_kib
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.code is None

    def wait(self, deadline=30):
        """The exit code (minus the signal's number when one ended it); fails past the deadline."""
        wait_until(lambda: not self.is_running(), deadline, lambda: f"{self.command[0]} to end; its log ends:\n{self.log()[-3000:]}", is_promise=True)
        return self.code

    def stop(self, deadline=20):
        """SIGTERM, then the exit code.  A program that has only just begun is first given time to listen for signals."""
        wait_until(lambda: not self.is_running() or self._handles(signal.SIGTERM), deadline, f"{self.command[0]} to handle SIGTERM")
        self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def _handles(self, number):
        try:
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return caught is not None and bool(int(caught.group(1), 16) >> (number - 1) & 1)

    def kill(self):
        """SIGKILL, and gone when this returns; also for one that has already ended."""
        self.signal(signal.SIGKILL)
        self.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def is_frozen(self):
        """Whether every thread of it is stopped, by us or by a failpoint of its own."""
        try:
            states = [(task / "stat").read_text().rsplit(")", 1)[1].split()[0]
                      for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir()]
        except OSError:
            return False
        return bool(states) and set(states) == {"T"}

    def signal(self, number):
        if self.is_running():
            self.process.send_signal(number)
