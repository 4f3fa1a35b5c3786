"""A disk of a few MiB, which others can fill: a tmpfs in a mount namespace of its own, so that nothing is left mounted whoever is killed.

A process that sleeps holds the namespace; `path` leads into it by way of /proc, for us and for the programs under test. Where we are not root it is
root of a user namespace. Where neither can be made the test is skipped, with the reason.
"""

import contextlib
import os
import pathlib
import subprocess

import pytest

from .program import with_parent

MAKE = 'mount -t tmpfs -o "size=$1m" none "$2" && echo ready && read -r end'


class SmallDisk:
    def __init__(self, folder, mib):
        folder.mkdir()
        whose = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holder = subprocess.Popen(with_parent(["unshare", *whose, "--mount", "--propagation", "private", "sh", "-c", MAKE, "sh", str(mib), str(folder)]),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            why = self.holder.communicate()[1].decode(errors="replace").strip()
            pytest.skip(f"no tmpfs can be mounted here: {why}")
        self.path = pathlib.Path(f"/proc/{self.holder.pid}/root{folder}")
        self.filler = self.path / "filler"

    def fill(self):
        """Another program takes all that is left."""
        with contextlib.suppress(OSError), open(self.filler, "ab", buffering=0) as file:
            while file.write(b"\1" * 4096):
                pass

    def free(self):
        self.filler.unlink(missing_ok=True)

    def is_filled(self):
        return self.filler.exists()

    def close(self):
        self.holder.communicate(b"\n", timeout=30)
