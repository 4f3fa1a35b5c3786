"""deploy/package, run."""

import re

from integration.harness.program import ROOT, run

BUILD_SECONDS = 1200


def build(folder, *words):
    done = run([str(ROOT / "deploy" / "package"), "--out", str(folder), *words], BUILD_SECONDS)
    assert done.code == 0, done
    return folder


def version():
    return re.search(r"^project\(tallymill VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE).group(1)
