"""promtool and prometheus, from the distribution's packages, without installing them: that would start a server on this machine.

Fetched once by apt (which checks the signature) and unpacked into the user's cache; a folder appears whole, by a rename. A promtool that is
installed is taken as it is. Debian 12 has both programs in one package, 13 has promtool in one of its own.
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
    folder = _cache() / "prometheus-tools"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                root = pathlib.Path(scratch) / "root"
                _unpack("prometheus", root)
                if not (root / "usr/bin/promtool").exists():
                    _unpack("promtool", root)
                os.rename(root / "usr/bin", folder)
    return folder


def _unpack(package, root):
    """A package that the registry has. The lists of a machine may be older than what that still has: they are renewed once."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["apt-get", "-q", "-o", "Acquire::Retries=3", "download", package]
        if subprocess.run(command, cwd=folder, timeout=300, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
            as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
            subprocess.run([*as_root, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", "update"], timeout=300, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            subprocess.run(command, cwd=folder, timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        (file,) = pathlib.Path(folder).glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(file), str(root)], timeout=300, check=True)
