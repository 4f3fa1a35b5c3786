"""A round of each fast row of the fault matrix (faults/rows), shortened; `tests/run faults` goes through all of it, a thousand faults long."""

import os

import pytest

from faults.matrix import BROKEN, play
from faults.registry import all_rows

SEED = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
DAILY = [row for row in all_rows().values() if row.daily and row.brokers == 1 and not row.own_stack]


def as_parameter(row):
    marks = [pytest.mark.plain_servers(row.plain_servers)] if row.plain_servers else []
    return pytest.param(row, id=f"{row.key}-{row.function.__name__}", marks=marks)


@pytest.mark.parametrize("row", map(as_parameter, DAILY))
def test_a_row_of_the_fault_matrix_holds(stack, tmp_path, row):
    print(f"row {row.key}: {row.title}; repeat it with TALLYMILL_SEED={SEED}")
    line = play(row, SEED, stack, tmp_path, count=row.daily)
    assert line["verdict"] != BROKEN, line["why"]
    assert line["faults"] >= row.daily
