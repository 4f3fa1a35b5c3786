"""The model of claim and fence (worker.pml), explored exhaustively by spin, and the planted bugs, for each of which spin must find a counter-example.

Every interleaving within the numbers of a size is tried: OFFSETS events in each of two topic partitions, FAULTS crashes, restarts of the database, cut connections
and terminated backends together, REBALANCES. TALLYMILL_MODEL=full adds the sizes that take minutes.
"""

import os
import re
import subprocess

import pytest

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.pml")
DEADLINE = 3000

# (offsets, faults, rebalances): smaller ones too, because a worker that is stuck until the next fault comes would hide in the larger
SIZES = [(1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 1, 0), (2, 0, 1), (1, 2, 0)]
FULL_SIZES = [(1, 1, 1), (2, 2, 0), (2, 1, 1), (1, 2, 1)] if os.environ.get("TALLYMILL_MODEL") == "full" else []

BUGS = {
    "NO_FENCE": "neither epoch nor position is compared",
    "COMPARE_UNLOCKED": "the claim is compared without locking it",
    "POSITION_FIRST": "the ledger moves in a transaction of its own, before the rows",
    "DEAD_OUTSIDE": "dead letters are inserted after COMMIT",
    "BLIND_RETRY": "a batch of unknown fate is sent again",
    "CLAIM_READS_FIRST": "claim reads the position with the snapshot from before its wait",
}


def explore(folder, size, *words, safety=True):
    """(states, errors, what pan said) of one exploration."""
    defines = [f"-DOFFSETS={size[0]}", f"-DFAULTS={size[1]}", f"-DREBALANCES={size[2]}", *(f"-D{word}" for word in words)]
    subprocess.run(["spin", "-a", *defines, MODEL], cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=600)
    kind = ["-DSAFETY"] if safety else ["-DNP"]
    subprocess.run(["gcc", "-O1", "-w", *kind, "-DCOLLAPSE", "-DMEMLIM=8000", "-o", "pan", "pan.c"], cwd=folder, check=True, timeout=600)
    done = subprocess.run(["./pan", "-m1000000", *([] if safety else ["-l"])], cwd=folder, stdout=subprocess.PIPE, timeout=DEADLINE, check=True, text=True)
    assert "max search depth too small" not in done.stdout and "out of memory" not in done.stdout, done.stdout[-2000:]
    return int(re.search(r"(\d+) states, stored", done.stdout).group(1)), int(re.search(r"errors: (\d+)", done.stdout).group(1)), done.stdout


def say(capsys, text):
    with capsys.disabled():
        print("\n" + text, end=" ")


@pytest.mark.parametrize("size", SIZES + FULL_SIZES, ids=lambda size: "offsets%d-faults%d-rebalances%d" % size)
def test_every_event_has_one_outcome_in_every_interleaving(size, tmp_path, capsys):
    states, errors, output = explore(tmp_path, size)
    assert errors == 0, output
    say(capsys, f"{states:,} states")


def test_no_interleaving_goes_on_for_ever(tmp_path, capsys):
    states, errors, output = explore(tmp_path, (1, 1, 0), safety=False)
    assert errors == 0, output
    say(capsys, f"{states:,} states")


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_has_a_counter_example(bug, tmp_path, capsys):
    states, errors, output = explore(tmp_path, (1, 1, 1), bug)
    assert errors > 0 and "assertion violated" in output, output
    depth = re.search(r"at depth (\d+)", output).group(1)
    say(capsys, f"{BUGS[bug]}: found after {states:,} states, at depth {depth}")


@pytest.mark.parametrize("guard", ["NO_EPOCH", "NO_POSITION"])
def test_either_half_of_the_fence_keeps_events_apart_alone(guard, tmp_path, capsys):
    states, errors, output = explore(tmp_path, (1, 1, 0) if not FULL_SIZES else (1, 1, 1), guard)
    assert errors == 0, output
    say(capsys, f"{states:,} states")
