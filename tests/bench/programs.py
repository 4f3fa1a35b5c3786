"""Builds what the benches run: the release build of the checkout, whoever made it, and drivers that only a bench needs."""

import subprocess
import sys

from servers import ROOT

LOG = ROOT / "build/logs/bench-build.log"


def build(drivers):
    """False, and the end of the log on stderr, where it cannot be built."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    steps = [["cmake", "--build", ROOT / "build"]]
    if drivers:
        steps.append(["cmake", "--build", ROOT / "build", "--target", *drivers])
    if not (ROOT / "build/build.ninja").exists():    # without the unit tests, which need more than a bench does
        steps.insert(0, ["cmake", "--preset", "release", "-DTALLYMILL_TESTS=OFF"])
    with open(LOG, "wb") as log:
        for step in steps:
            if subprocess.run(step, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode != 0:
                print("".join(LOG.read_text(errors="replace").splitlines(keepends=True)[-30:]), file=sys.stderr)
                print(f"tests/bench/run: the build failed; its whole output is in {LOG}", file=sys.stderr)
                return False
    return True
