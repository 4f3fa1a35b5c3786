"""The fuzzers: each first replays its seeds (golden bytes, hostile corpus), then searches for a while and says how much it tried.

TALLYMILL_FUZZ_SECONDS (60) is the time of each. What is found on the way is kept in build-fuzz/corpus/NAME and used the next time. A
failing input is written to build-fuzz/found/NAME; `build-fuzz/bin/fuzz-NAME FILE` repeats it. CONTRIBUTING: it becomes a test before it is fixed.
"""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-fuzz"
SECONDS = int(os.environ.get("TALLYMILL_FUZZ_SECONDS", "60"))

# name: the longest input that is made up, and where its seeds are
FUZZERS = {
    "reader": (1024, ["schemas/golden", "tests/data/hostile"]),
    "settings": (4096, ["tests/fuzz/seeds/settings"]),
    "catalogue": (8192, ["tests/fuzz/seeds/catalogue"]),
    "json": (1024, ["tests/fuzz/seeds/json"]),
    "ndjson": (1024, ["tests/fuzz/seeds/ndjson"]),
    "csv": (1024, ["tests/fuzz/seeds/csv"]),
    "forms": (2048, ["tests/fuzz/seeds/forms"]),
    "times": (128, ["tests/fuzz/seeds/times"]),
    "spool": (320, ["tests/fuzz/seeds/spool"]),
    "guess": (1024, ["tests/fuzz/seeds/guess"]),
    "data": (512, ["tests/fuzz/seeds/data", "schemas/golden", "tests/data/hostile"]),
    "packed": (512, ["schemas/golden", "tests/data/hostile"]),
    "msgpack": (1024, ["tests/fuzz/seeds/msgpack", "schemas/golden", "tests/data/hostile"]),
}

# Nobody else writes to the corpus, so it is not read again; and to count how rare each feature is (entropic) takes as long as the reader and its oracle.
SEARCH = ["-reload=0", "-entropic=0"]


def fuzz(name, *words):
    found = BUILD / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    command = [BUILD / "bin" / f"fuzz-{name}", "-print_final_stats=1", f"-artifact_prefix={found}/", "-timeout=60", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=BUILD,
                          timeout=SECONDS + 600, check=False)
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, output[-4000:]
    return output


@pytest.mark.parametrize("name", FUZZERS)
def test_the_seeds_hold(name):
    fuzz(name, "-runs=0", *(ROOT / seeds for seeds in FUZZERS[name][1]))


@pytest.mark.parametrize("name", FUZZERS)
def test_nothing_is_found(name, capsys):
    longest, seeds = FUZZERS[name]
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    output = fuzz(name, *SEARCH, f"-max_len={longest}", f"-max_total_time={SECONDS}", corpus, *(ROOT / folder for folder in seeds))
    runs = int(re.search(r"stat::number_of_executed_units: *(\d+)", output).group(1))
    with capsys.disabled():
        print(f"\n{name}: {runs:,} executions, {len(list(corpus.iterdir())):,} inputs in the corpus")
    assert runs > 100
