"""CPU seconds of processes, from /proc: steadier than wall clock on a shared machine."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid):
    """Fields of /proc/PID/stat from the state on (the name before may hold spaces), or None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2:].split()


def cpu_seconds(pid):
    """User and system time of one process."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def family_cpu_seconds(parent):
    """Of a process, its living children, and the children it has waited for: a postmaster with all its backends.

    A child that is buried between two looks would be in neither sum; so the parent's must be the same before and after.
    """
    for _ in range(100):
        before = stat_fields(parent)
        if not before:
            return 0.0
        total = sum(int(before[i]) for i in (11, 12, 13, 14)) / TICKS
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                child = stat_fields(entry.name)
                if child and int(child[1]) == parent:
                    total += (int(child[11]) + int(child[12])) / TICKS
        after = stat_fields(parent)
        if after and after[13:15] == before[13:15]:
            return total
    raise RuntimeError(f"process {parent} buries its children faster than they can be counted")


def cpu_ns(pid):
    """CPU time of one process' only thread in ns: far finer than the ticks of cpu_seconds()."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
