"""deploy/package, run: on this machine, or in a Debian of another release (TALLYMILL_SUITE=trixie); and a package as one of a later version."""

import os
import pathlib
import platform
import re
import shutil

from integration.harness.program import ROOT, run
from lib import bare

BUILD_SECONDS = 1200
OWN_SUITE = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
SUITE = os.environ.get("TALLYMILL_SUITE", OWN_SUITE)


class Here:
    """This machine, with what `deploy/packages install build package` brings."""

    def build(self, folder):
        done = run([str(ROOT / "deploy" / "package"), "--out", str(folder)], BUILD_SECONDS)
        assert done.code == 0, done
        return folder

    def lintian(self, packages):
        return run(["lintian", "--allow-root", "--tag-display-limit", "0", *map(str, packages)], 300)


class Root:
    """Another release: debootstrap's smallest, with this checkout's last commit and the same packages. One that was made before is taken as it is (a kept one, or that of tests/run debian-13)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        clone = self.folder / "root" / "tallymill"
        if not clone.is_dir():
            for command in bare.make(SUITE, str(folder), str(ROOT)):
                self._must(command, bare.MAKE_SECONDS)
        git = ["git", "-c", "safe.directory=*", "-C", str(clone)]
        self._must([*git, "fetch", "-q", str(ROOT), "HEAD"], 60)
        self._must([*git, "reset", "-q", "--hard", "FETCH_HEAD"], 60)
        self._must(bare.inside(str(folder), "deploy/packages install build package"), BUILD_SECONDS)

    def _must(self, command, seconds):
        done = run(command, seconds)
        assert done.code == 0, done

    def build(self, folder):
        made = self.folder / "root" / "made"
        shutil.rmtree(made, ignore_errors=True)
        self._must(bare.inside(str(self.folder), "deploy/package --out /root/made"), BUILD_SECONDS)
        return shutil.copytree(made, folder, dirs_exist_ok=True)

    def lintian(self, packages):
        place = self.folder / "root" / "lintian"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for package in packages:
            shutil.copy(package, place)
        return run(bare.inside(str(self.folder), "lintian --allow-root --tag-display-limit 0 /root/lintian/*.deb"), 300)


def version():
    return re.search(r"^project\(tallymill VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE).group(1)


def as_newer(packages, folder):
    """`tallymill` of a folder, once more as a version that is newer: other files to every process that runs the old ones."""
    (package,) = packages.glob("tallymill_*.deb")
    for command in (["dpkg-deb", "-R", str(package), str(folder / "tree")],
                    ["sed", "-i", f"s/^Version: .*/Version: {version()}+1/", str(folder / "tree/DEBIAN/control")],
                    ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(folder / "tree"), str(folder / f"tallymill_{version()}+1.deb")],
                    ["rm", "-r", str(folder / "tree")]):
        done = run(command, 120)
        assert done.code == 0, done
    return folder
