"""promtool and prometheus, from the distribution's package `prometheus`, without installing it: that would start a server on this machine.

Fetched once by apt (which checks the signature) and unpacked into the user's cache; a folder appears whole, by a rename. A promtool that is
installed is taken as it is.
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

PROGRAMS = ("promtool", "prometheus")


def _cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "tallymill"


def program(name):
    """The path of one of PROGRAMS. Raises OSError or subprocess errors where it is not to be had."""
    assert name in PROGRAMS
    found = shutil.which(name)
    return found or str(_fetch() / name)


def _fetch():
    folder = _cache() / "prometheus"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                os.rename(_unpack(_download(scratch), pathlib.Path(scratch)), folder)
    return folder


def _download(scratch):
    """The package. The lists of a machine may be older than what the registry still has: they are renewed once."""
    command = ["apt-get", "-q", "-o", "Acquire::Retries=3", "download", "prometheus"]
    if subprocess.run(command, cwd=scratch, timeout=300, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*as_root, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", "update"], timeout=300, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        subprocess.run(command, cwd=scratch, timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return next(pathlib.Path(scratch).glob("prometheus_*.deb"))


def _unpack(package, scratch):
    subprocess.run(["dpkg-deb", "-x", str(package), str(scratch / "root")], timeout=300, check=True)
    return scratch / "root" / "usr" / "bin"
