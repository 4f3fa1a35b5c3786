"""Runs a command and lets nothing that it started outlive it.

`deploy/stack` starts servers in sessions of their own, so killing a process group does not reach them, and a test
that dies leaves them without a parent. Linux hands such orphans to the nearest ancestor that asked for them
(PR_SET_CHILD_SUBREAPER): that is us. When the command has ended, or was interrupted and had its time to clean up,
whoever is still our descendant is ended: politely, then with SIGKILL. Names and pid files play no part in it.

Orphans are also reaped as they end: a zombie keeps its pid, and a Postgres that is started again takes the zombie of
its predecessor for a running server. (Rejected: a pid namespace, which an ordinary user may not make everywhere.)
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLEAN_UP_SECONDS = 90   # what an interrupted command has for its own cleaning up
FAREWELL_SECONDS = 5

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Even a SIGKILL to us reaches the command, as a SIGTERM that it can clean up on."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def children(parent):
    """The pids of a process's children."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry))
    return found


def reap():
    """Collect every child that has ended; returns {pid: exit status}."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def await_command(pid, interrupted):
    """The command's exit code; -1 when it was interrupted and did not end in its time."""
    ends = None
    while True:
        ended = reap()
        if pid in ended:
            return os.waitstatus_to_exitcode(ended[pid])
        if interrupted and ends is None:
            os.kill(pid, signal.SIGTERM)
            ends = time.monotonic() + CLEAN_UP_SECONDS
        if ends is not None and time.monotonic() > ends:
            return -1
        signal.sigtimedwait({signal.SIGCHLD}, 0.5)


def end_descendants():
    """SIGTERM to our children until the farewell is over, then SIGKILL; each death can bring us new ones."""
    start = time.monotonic()
    left_over = set()
    while children(os.getpid()):
        patient = time.monotonic() < start + FAREWELL_SECONDS
        for pid in children(os.getpid()):
            if not patient or pid not in left_over:
                left_over.add(pid)
                try:
                    os.kill(pid, signal.SIGTERM if patient else signal.SIGKILL)
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        reap()


def main(command):
    interrupted = []
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _frame: interrupted.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("reaper: the kernel cannot hand us orphans: " + os.strerror(ctypes.get_errno()))

    def before_exec():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        die_with_parent()

    process = subprocess.Popen(command, preexec_fn=before_exec)
    code = await_command(process.pid, interrupted)
    end_descendants()
    if interrupted:
        return 128 + interrupted[0]
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
