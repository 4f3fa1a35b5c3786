#!/usr/bin/python3
"""The bugs of tests/planted are there and nowhere else: each patch applies to the sources as they are, and no shipped file holds one.

Usage: planted_bugs.py. Exit code 1, and a line for each fault, where that is not so. The check build would find the first as well; this is told
by every build's unit tests, so that whoever moves a function moves the patch with it.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLANTED = ROOT / "tests" / "planted"
SHIPPED = ("common", "producer", "consumer", "aggregator", "operator", "schemas", "deploy", "cmake")


def changed_by(patch):
    return re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE)


def refused(patch, folder):
    """What the build says where the patch does not apply; None when it does."""
    sources = changed_by(patch)
    gone = [source for source in sources if not (ROOT / source).exists()]
    if gone or not sources:
        return f"it changes {', '.join(gone) or 'nothing'}, which is not there"
    planted = subprocess.run(["cmake", f"-DPATCH={patch}", f"-DSOURCES={';'.join(sources)}", f"-DFROM={ROOT}", f"-DTO={folder / patch.stem}",
                              "-P", str(PLANTED / "plant.cmake")], capture_output=True, text=True, timeout=60, check=False)
    return planted.stderr if planted.returncode else None


def faults_of_patches(patches):
    tests = "".join(test.read_text() for test in sorted((ROOT / "tests" / "integration").glob("test_*.py")))
    with tempfile.TemporaryDirectory() as folder:
        for patch in patches:
            why = refused(patch, pathlib.Path(folder))
            if why:
                yield f"tests/planted/{patch.name} does not apply: {why}"
            if f'bug="{patch.stem}"' not in tests:
                yield f"tests/planted/{patch.name}: no integration test starts a program with bug=\"{patch.stem}\""
    for script in PLANTED.glob("*.sql"):
        if not script.with_suffix(".patch").exists():
            yield f"tests/planted/{script.name} belongs to no patch"


def faults_of_sources(names):
    sign = re.compile(r"planted[_ ]?bug|TALLYMILL_PLANTED|\b(?:%s)\b" % "|".join(names), re.IGNORECASE)
    for folder in SHIPPED:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "node_modules" not in file.parts:
                for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                    if sign.search(line):
                        yield f"{file.relative_to(ROOT)}:{number}: a planted bug in what is shipped: {line.strip()}"


def main():
    patches = sorted(PLANTED.glob("*.patch"))
    faults = [*faults_of_patches(patches), *faults_of_sources([patch.stem for patch in patches])]
    print("\n".join(faults) or f"{len(patches)} planted bugs, each applies")
    return 1 if faults or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
