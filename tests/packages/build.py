"""deploy/package, run; and a package as one of a later version."""

import re

from integration.harness.program import ROOT, run

BUILD_SECONDS = 1200


def build(folder, *words):
    done = run([str(ROOT / "deploy" / "package"), "--out", str(folder), *words], BUILD_SECONDS)
    assert done.code == 0, done
    return folder


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
