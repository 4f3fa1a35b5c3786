"""buildah and Compose's reader in a Debian of their own: nothing of them is installed on this machine, and neither has a daemon."""

import os
import pathlib
import shutil

from integration.harness.program import ROOT, run
from lib import bare

SUITE = "trixie"  # its Compose is the present one, in Go; bookworm's is the old one in Python
BASE = ("bookworm", "docker.io/library/debian:bookworm-slim")  # what stands in for the image that the Dockerfile names
PACKAGES = ("buildah", "netavark", "docker-compose")  # netavark: buildah looks for it before it asks whether there is a network to make
LIMITS = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=8192:8192\"]\n"  # of its own it asks for more than a container within a container may have
MAKE_SECONDS = 600
BUILD_SECONDS = 1800
HOW = ("--setenv=STORAGE_DRIVER=vfs", "--setenv=BUILDAH_ISOLATION=chroot")  # a container in a container


class Engine:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.base = self.folder / "base"
        self.root = self.folder / "root"
        for root, suite in ((self.base, BASE[0]), (self.root, SUITE)):
            if not (root / "made").exists():
                must(["rm", "-rf", "--one-file-system", str(root)], 120)
                must(["debootstrap", "--variant=minbase", suite, str(root)], MAKE_SECONDS)
                if root == self.root:
                    self.must("apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "--no-install-recommends", "install", *PACKAGES, deadline=MAKE_SECONDS)
                    (root / "etc/containers").mkdir(exist_ok=True)
                    (root / "etc/containers/containers.conf").write_text(LIMITS)
                (root / "made").touch()
        if os.path.isdir("/" + bare.TRUST):  # the way to this machine's registries
            shutil.copytree("/" + bare.TRUST, self.base / bare.TRUST, dirs_exist_ok=True)

    def run(self, *words, deadline=120):
        """A command in it, with the checkout at /source."""
        return run(["systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit", "--console=pipe", f"--bind-ro={ROOT}:/source",
                    f"--bind-ro={self.base}:/base", *HOW, *map(str, words)], deadline)

    def must(self, *words, **how):
        done = self.run(*words, **how)
        assert done.code == 0, done
        return done.out

    def answer(self, container, *words):
        """What a command in a container says: asked again where that is nothing, for buildah loses now and then what a short one writes on a busy machine."""
        for _ in range(5):
            told = self.must("buildah", "run", container, "--", *words)
            if told:
                return told
        raise AssertionError(f"{words} says nothing")

    def import_base(self):
        """debootstrap's Debian under the name of the Dockerfile's base image, which no registry is asked for."""
        self.must("sh", "-ec", f"c=$(buildah from scratch); buildah add -q $c /base /; buildah commit -q $c {BASE[1]}; buildah rm $c", deadline=MAKE_SECONDS)


def must(command, seconds):
    done = run(command, seconds)
    assert done.code == 0, done
