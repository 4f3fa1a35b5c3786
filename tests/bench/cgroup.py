"""A memory cgroup of the bench's own, of either version, for programs that must live in it. Needs root."""

import contextlib
import os
import pathlib
import time

MOUNT = pathlib.Path("/sys/fs/cgroup")
# Version to (its parent, the limit, the peak, where kills are counted).
V1 = MOUNT / "memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"
V2 = MOUNT, "memory.max", "memory.peak", "memory.events"


class Cgroup:
    def __init__(self, limit_bytes):
        parent, limit, peak, kills = V2 if (MOUNT / "cgroup.controllers").exists() else V1
        if not parent.is_dir():
            raise RuntimeError("no memory cgroup is mounted below /sys/fs/cgroup")
        self.version = 2 if parent == MOUNT else 1
        self.folder = parent / f"tallymill-bench-{os.getpid()}"
        self.folder.mkdir()
        self.peak, self.kills = self.folder / peak, self.folder / kills
        (self.folder / limit).write_text(str(limit_bytes))
        swap = self.folder / ("memory.swap.max" if self.version == 2 else "memory.memsw.limit_in_bytes")
        if swap.exists():       # what is swapped out would not count
            swap.write_text("0" if self.version == 2 else str(limit_bytes))

    def join(self):
        """Between fork and exec of the program that is to live in it."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def take(self, pid):
        """A process that runs already; what it holds by now stays charged to where it came from."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def peak_bytes(self):
        """The most that was charged, page cache included; None where the kernel does not tell (version 2 before 5.19)."""
        return int(self.peak.read_text()) if self.peak.exists() else None

    def oom_kills(self):
        counts = dict(line.split() for line in self.kills.read_text().splitlines())
        return int(counts["oom_kill"])

    def remove(self):
        limit = time.monotonic() + 10
        while self.folder.exists() and time.monotonic() < limit:
            try:
                self.folder.rmdir()
            except OSError:
                time.sleep(0.1)     # its last process is being buried


@contextlib.contextmanager
def memory_cgroup(limit_bytes):
    group = Cgroup(limit_bytes)
    try:
        yield group
    finally:
        group.remove()
